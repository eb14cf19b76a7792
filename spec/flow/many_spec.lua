-- SPDX-License-Identifier: MIT
-- tide.many: several results from one message; all of them leave or none, and the parent waits for all.
local tide = require 'tidemill'
local flow = require 'spec.support.flow'
local C = require('tidemill.run.ffi').C

describe('tide.many', function()
  local fixture = flow.fixture()

  local function through(step, values, options)
    return (fixture.through({ step }, values, options):values())
  end

  it('tide.many forwards each result, in order, as a message of its own', function()
    local values = through({ function(m)
      return tide.many { m, 'x' .. m.value, { value = 'y', key = 'k' } }
    end }, { 'a', 'b' })
    assert.same({ 'a', 'xa', 'y', 'b', 'xb', 'y' }, values)
    assert.equal('k', fixture.run:results()[3].key)
    assert.is_nil(fixture.run:results()[2].key)
    assert.equal(2, fixture.run.engine:totals().produced_from)
    assert.equal(6, fixture.run.engine:totals().produced)
    assert.equal(2, fixture.run:committed())
  end)

  it('tide.many inherits what the function had made of the message', function()
    through({ function(m)
      m.key, m.headers = 'new', { { 'h', '1' } }
      return tide.many { 'a', { headers = {} } }
    end }, { { value = 'v', key = 'old', timestamp = 5 } })
    local results = fixture.run:results()
    assert.same({ 'a', 'new', 5 }, { results[1].value, results[1].key, results[1].timestamp })
    assert.same({ { 'h', '1' } }, results[1].headers)
    assert.same({ 'v', 'new' }, { results[2].value, results[2].key })
    assert.same({}, results[2].headers)
  end)

  it('tide.many sends each result on through the functions behind, which may filter or split again', function()
    local values = through({
      function(m) return tide.many { m.value .. '1', m.value .. '2', m.value .. '3' } end,
      function(m)
        m.headers[#m.headers + 1] = { 'seen', '' }
        if m.value:sub(-1) == '2' then return nil end
        return tide.many { m, m.value .. '+' }
      end,
      function(m) return #m.headers .. m.value end,
    }, { 'a', 'b' })
    assert.same({ '1a1', '1a1+', '1a3', '1a3+', '1b1', '1b1+', '1b3', '1b3+' }, values)
  end)

  it('tide.many may have parts of one view in its results', function()
    local values = through({ function(m)
      local results = {}
      for i, item in tide.json.each(m.json.items) do results[i] = { json = item } end
      m.json.items = nil
      results[#results + 1] = m
      return tide.many(results)
    end, function(m) return m.value .. m.offset end }, { '{"items":[{"a": 1},[ ]]}', '{"items":[5]}' })
    assert.same({ '{"a": 1}0', '[ ]0', '{}0', '51', '{}1' }, values)
  end)

  it('tide.many takes an array only: nothing with names, no gaps', function()
    assert.same({ 'ok' }, through({ function(m)
      if m.value == 'names' then return tide.many { 'x', key = 'k' } end
      if m.value == 'gap' then return tide.many { 'x', nil, 'y' } end
      if m.value == 'only names' then return tide.many { key = 'k' } end
      local list = {}
      list[2] = nil
      list[1] = m
      return tide.many(list)
    end }, { 'names', 'gap', 'only names', 'ok' }))
    assert.equal(3, select(2, fixture.letters():gsub('no array of results without gaps', '')))
  end)

  it('unfold takes any array: one of JSON, which may be empty, and a list that has a mark', function()
    local step = { { kind = 'unfold', of = function(m)
      if m.value == 'array' then return tide.array { 'x', tide.drop, m } end
      if m.value == 'drop' then return tide.drop end
      return tide.json.table(m.json)
    end } }
    assert.same({ 'a', 'b', 'x', 'array' }, through(step, { '[]', '["a","b"]', 'array', 'drop', '{"a":1}' }))
    assert.equal(2, fixture.run.engine:totals().filtered)
    assert.matches('it has the key \\"a\\"', fixture.letters())
  end)

  it('tide.many without a result filters the message', function()
    assert.same({}, through({ function() return tide.many {} end }, { 'a', 'b' }))
    assert.equal(2, fixture.run.engine:totals().filtered)
    assert.equal(2, fixture.run:committed())
  end)

  for what, fail in pairs {
    ['an error'] = function() error 'late' end, ['a reject'] = function() return tide.reject 'late' end,
    ['a bad return'] = function() return 5, 'late' end,
  } do
    it('tide.many takes back all results of a message when the last one ends in ' .. what, function()
      local values = through({
        function(m) return tide.many { m.value .. '1', m.value .. '2' } end,
        function(m) if m.value == 'b2' then return fail() end return m end,
      }, { 'a', 'b', 'c' })
      assert.same({ 'a1', 'a2', 'c1', 'c2' }, values)
      local text = fixture.letters()
      assert.equal(1, select(2, text:gsub('\n', '')))
      assert.matches('"original_offset":1,', text)
      assert.equal(3, fixture.run:committed())
    end)
  end

  it('tide.many is not cut by a full output block: the whole message goes into the next one', function()
    local values = through({ function(m)
      local list = {}
      for i = 1, 7 do list[i] = m.value .. ':' .. i .. (' '):rep(100) end
      return tide.many(list)
    end, output_block_size = 4096, auto = false, eager = false, max_batch_size = 9 }, -- all of them are one batch
      { 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i' })
    assert.is_true(fixture.run:metric(1, 'BATCH_OUTPUT_OVERFLOW').count > 0)
    assert.equal(63, #values)
    for i, value in ipairs(values) do assert.equal((i - 1) % 7 + 1, tonumber(value:match ':(%d)')) end
  end)

  it('tide.many rejects a message whose results together are above the maximum', function()
    local values = through({ function(m)
      if m.value ~= 'big' then return m end
      return tide.many { ('x'):rep(40000), ('y'):rep(40000) }
    end, output_block_size = 4096, max_output_block_size = 65536, auto = false }, { 'a', 'big', 'b' })
    assert.same({ 'a', 'b' }, values)
    assert.matches('"reason":"too_large"', fixture.letters())
  end)

  it('tide.many lets the offset of the parent wait for all children', function()
    local run = fixture.new { steps = { { function(m) return tide.many { m, m, m } end } }, max_messages = 2 }
    C.tide_memory_hold(run.sink, true)
    run:push 'a'
    run:start()
    run:turn_until(function() return C.tide_memory_count(run.sink) == 2 end)
    assert.equal(0, run.engine:totals().produced_from)
    assert.is_nil(run:committed())
    C.tide_memory_hold(run.sink, false)
    assert.equal('done', run:finish().kind)
    assert.same({ 'a', 'a', 'a' }, run:values())
    assert.equal(1, run:committed())
  end)
end)
