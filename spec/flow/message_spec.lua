-- SPDX-License-Identifier: MIT
-- What a transform sees and may return, through real workers.
local tide = require 'tidemill'
local flow = require 'spec.support.flow'

describe('a transform', function()
  local fixture = flow.fixture()

  local function through(fn, messages, options)
    return fixture.through({ type(fn) == 'table' and fn or { fn } }, messages, options):results()
  end

  local full = { value = 'v', key = 'k', timestamp = 1234,
    headers = { { 'a', '1' }, { 'a', '2' }, { 'n' }, { 'e', '' } } }

  it('a transform returns the message: key, headers (order, doubles, null values) and timestamp stay', function()
    local result = through(function(message) return message end, { full })[1]
    assert.equal('v', result.value)
    assert.equal('k', result.key)
    assert.equal(1234, result.timestamp)
    assert.same({ { 'a', '1' }, { 'a', '2' }, { 'n' }, { 'e', '' } }, result.headers)
  end)

  it('a transform sees all fields', function()
    local result = through(function(message)
      assert(message:header 'a' == '2' and message:header 'none' == nil and message:header 'n' == nil)
      assert(message:headers() == message.headers and message:copy():header 'a' == '2')
      local headers = message.headers
      return table.concat({ message.value, message.key, message.topic, message.partition, message.offset,
        message.timestamp, #headers, headers[1][1], tostring(headers[3][2]), headers[4][2] }, '|')
    end, { full })[1]
    assert.equal('v|k|in|0|0|1234|4|a|nil|', result.value)
  end)

  it('a transform tells null from empty, in and out', function()
    local results = through(function(message)
      if message.value == nil and message.key == '' then return { value = '', key = tide.null } end
      if message.value == '' and message.key == nil then return { value = tide.null, key = '' } end
      return 'wrong'
    end, { { value = nil, key = '' }, { value = '', key = nil } })
    assert.equal('', results[1].value)
    assert.is_nil(results[1].key)
    assert.is_nil(results[2].value)
    assert.equal('', results[2].key)
  end)

  it('a transform filters by nil: the offset still moves', function()
    local results = through(function(message) if message.value ~= 'b' then return message end end, { 'a', 'b', 'c' })
    assert.equal(2, #results)
    assert.equal(1, fixture.run.engine:totals().filtered)
    assert.equal(3, fixture.run:committed())
  end)

  it('a transform filters by tide.drop, in lists too', function()
    local values = {}
    for i, result in ipairs(through(function(message)
      if message.value == 'b' then return tide.drop end
      if message.value == 'c' then return tide.many { message, tide.drop, 'd' } end
      return message
    end, { 'a', 'b', 'c' })) do values[i] = result.value end
    assert.same({ 'a', 'c', 'd' }, values)
    assert.equal(1, fixture.run.engine:totals().filtered)
    assert.equal(3, fixture.run:committed())
  end)

  it('a transform takes headers by name wherever headers are taken, in the order of their names', function()
    local results = through(function(message)
      if message.value == 'result' then return { headers = { b = '1', a = tide.null } } end
      if message.value == 'copy' then
        local copy = message:copy()
        copy.headers = { b = '1', a = tide.null }
        return copy
      end
      if message.value == 'late' then
        message.headers.b = '1' -- it has none
        return message
      end
      message.headers = { b = '1', a = tide.null }
      assert(message.headers[1][1] == 'a' and message:header 'b' == '1' and message:header 'a' == nil)
      return message.value == 'many' and tide.many { message, 'x' } or message
    end, { 'result', 'copy', 'late', 'message', 'many' })
    local both = { { 'a' }, { 'b', '1' } }
    assert.same({ both, both, { { 'b', '1' } }, both, both, both }, { results[1].headers, results[2].headers,
      results[3].headers, results[4].headers, results[5].headers, results[6].headers })
  end)

  it('a transform calls headers() whatever was assigned, on copies too; what is refused leaves the old', function()
    local results = through(function(message)
      local copy = message:copy()
      assert(copy:headers() == copy.headers and #copy:headers() == 4)
      copy.headers = { b = '1' }
      assert(copy:headers()[1][1] == 'b' and copy:header 'b' == '1')
      assert(not pcall(function() copy.headers = 5 end) and #copy:headers() == 1)
      copy.headers = nil
      assert(#copy:headers() == 0)
      for name, wrong in pairs { headers = 5, value = 5, key = {}, topic = 'nowhere', partition = -1 } do
        assert(not pcall(function() message[name] = wrong end))
      end
      assert(#message:headers() == 4 and message.headers[1][1] == 'a')
      message.headers = tide.json.table '[["x","y"]]'
      assert(message:headers()[1][1] == 'x')
      local named = { a = '1' }
      message.headers = named
      named.b = '2'
      assert(#message:headers() == 1)
      return message
    end, { full })
    assert.same({ { 'a', '1' } }, results[1].headers)
    assert.same({ 'v', 'k', 1234 }, { results[1].value, results[1].key, results[1].timestamp })
    assert.same({}, { results[1].topic, results[1].target_partition })
  end)

  it('a transform sends a copy where the message of the copy went, and not where the present one goes', function()
    local kept = {}
    local results = through({ function(message)
      if message.value == 'b' then message.topic, message.partition = 'other', 4 end
      return message
    end, function(message)
      kept[#kept + 1] = message:copy()
      if #kept == 1 then return nil end
      return #kept == 2 and tide.many(kept) or kept[2]
    end }, { 'a', 'b', 'c' }, { topics = { 'other' } })
    local places = {}
    for i, result in ipairs(results) do
      places[i] = { result.value, result.topic or '', result.target_partition or -1 }
    end
    assert.same({ { 'a', '', -1 }, { 'b', 'other', 4 }, { 'b', 'other', 4 } }, places)
  end)

  it('a transform sends a message where its topic and partition are written to, as a copy and in'
    .. ' tide.many too', function()
    local results = through(function(message)
      if message.value == 'copy' then
        local copy = message:copy()
        copy.topic, copy.partition = 'other', 4
        return copy
      end
      message.topic, message.partition = 'other', 4
      assert(message.topic == 'other' and message.partition == 4 and message:copy().partition == 4)
      if message.value == 'many' then return tide.many { message, { topic = 'third' }, { partition = 5 } } end
      return message
    end, { 'message', 'copy', 'many' }, { topics = { 'other', 'third' } })
    local places = {}
    for i, result in ipairs(results) do places[i] = { result.topic, result.target_partition } end
    assert.same({ { 'other', 4 }, { 'other', 4 }, { 'other', 4 }, { 'third', 4 }, { 'other', 5 } }, places)
  end)

  it('a transform returns a table: absent fields are inherited', function()
    local result = through(function()
      return { key = 'new', headers = { { 'h', 'x' }, { 'z', tide.null } }, partition = 3,
        timestamp = 99, topic = 'other' }
    end, { full }, { topics = { 'other' } })[1]
    assert.same({ 'v', 'new', 99, 3, 'other' },
      { result.value, result.key, result.timestamp, result.target_partition, result.topic })
    assert.same({ { 'h', 'x' }, { 'z' } }, result.headers)
  end)

  it('a transform assigns fields; the last one written wins', function()
    local result = through(function(message)
      message.value, message.key, message.timestamp = 'x', nil, 7
      message.value = message.value .. 'y'
      message.headers[#message.headers + 1] = { 'more', '!' }
      return message
    end, { full })[1]
    assert.equal('xy', result.value)
    assert.is_nil(result.key)
    assert.equal(7, result.timestamp)
    assert.equal(5, #result.headers)
  end)

  it('a transform runs several functions one after another on what the one before returned', function()
    local results = through({
      function(message) return message.value .. '1' end,
      function(message) if message.value == 'b1' then return nil end return { key = message.value } end,
      function(message) return { value = message.value .. message.key } end,
    }, { 'a', 'b', 'c' })
    assert.same({ 'a1a1', 'c1c1' }, { results[1].value, results[2].value })
    assert.equal(2, #results)
  end)

  it('a transform copies a message to be kept and returned later, with all that it had', function()
    local kept = {}
    local results = through(function(message)
      kept[#kept + 1] = message:copy()
      if #kept < 3 then return nil end
      assert(kept[1].topic == 'in' and kept[2].offset == 1 and kept[1].partition == 0)
      kept[1].value = kept[1].value .. kept[2].value
      return kept[1]
    end, { full, 'b', 'c' })
    assert.equal(1, #results)
    assert.same({ 'vb', 'k', 1234 }, { results[1].value, results[1].key, results[1].timestamp })
    assert.same(full.headers, results[1].headers)
    assert.equal(2, results[1].offset)
  end)

  it('a transform gives copies a view of their own, next to that of the message', function()
    local kept
    local results = through(function(message)
      if message.offset == 1 then
        assert(kept.json.x == 2 and kept.value == '{"x":2}')
        return kept
      end
      kept = message:copy()
      message.json.y = 1
      kept.json.x = 2
      assert(message.json.x == nil and kept.json.y == nil)
      return message
    end, { '{}', 'b' })
    assert.same({ '{"y":1}', '{"x":2}' }, { results[1].value, results[2].value })
  end)

  it('a transform lives only until the function returns: a kept one is gone, for copy() too', function()
    local kept
    through(function(message)
      if kept then return kept:copy() end
      kept = message
      return message
    end, { 'a', 'b' })
    assert.matches('this message is gone', fixture.letters())
  end)

  it('a transform is initialised once before the fork and started once in each worker', function()
    local file = os.tmpname()
    local out = assert(io.open(file, 'w'))
    out:write [[
      local inits, starts = 0, 0
      return { init = function() inits = inits + 1 end, start = function() starts = starts + 1 end,
        process = function() return inits .. ' ' .. starts end }
    ]]
    out:close()
    local step = { { kind = 'file', path = file }, max_batch_size = 1 }
    local results = through(step, { 'a', 'b', 'c', 'd' }, { pools = { 2 } })
    for _, result in ipairs(results) do assert.equal('1 1', result.value) end
    os.remove(file)
  end)

  it('a transform may use lua-cjson', function()
    local cjson = require 'cjson'
    local results = through(function(message)
      local event = cjson.decode(message.value)
      event.v = event.v * 2
      return cjson.encode { v = event.v }
    end, { '{"v":21}', '{broken' })
    assert.equal('{"v":42}', results[1].value)
    assert.equal(1, fixture.run.engine:totals().dead_lettered)
  end)
end)
