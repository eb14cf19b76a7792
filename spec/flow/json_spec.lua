-- SPDX-License-Identifier: MIT
-- message.json through real workers: edits reach the output, the last of value and json written wins, what is not
-- JSON is rejected naming the byte.
local tide = require 'tidemill'
local flow = require 'spec.support.flow'

describe('message.json', function()
  local fixture = flow.fixture()

  local function through(functions, messages, options)
    options = options or {}
    functions = type(functions) == 'function' and { functions } or functions
    for name, value in pairs(options.step or {}) do functions[name] = value end
    return fixture.through({ functions }, messages, options):results()
  end

  it('message.json reads, edits and filters', function()
    local results = through(function(message)
      local event = message.json
      if event.level == 'debug' then return nil end
      event.v, event.value = event.value * 2, nil
      event.seen = true
      return message
    end, { { value = '{"level":"info","value":1.5,"big":123456789012345678901}', key = 'k', headers = { { 'a',
      'b' } } },
      '{"level":"debug","value":1}', ' { "value" : 2 , "level":"warn" } ' })
    assert.equal(2, #results)
    assert.equal('{"level":"info","big":123456789012345678901,"v":3,"seen":true}', results[1].value)
    assert.equal('k', results[1].key)
    assert.same({ { 'a', 'b' } }, results[1].headers)
    assert.equal(' { "level":"warn","v":4,"seen":true } ', results[2].value)
  end)

  it('message.json hands over untouched bytes, and key and headers that were changed', function()
    local text = ' {"a" : [ ],"n":null, "x":1.10}\n'
    local results = through(function(message)
      local event = message.json
      if event.x == 1.1 then message.key = 'new' end
      if event.y then
        event.y = nil
        message.key, message.headers = 'k2', { { 'h', 'v' } }
      end
      return message
    end, { { value = text, key = 'k' }, { value = '{"y":1}', key = 'k' } })
    assert.equal(text, results[1].value)
    assert.equal('new', results[1].key)
    assert.same({ '{}', 'k2', { { 'h', 'v' } } }, { results[2].value, results[2].key, results[2].headers })
  end)

  it('message.json lets the last of value and json win', function()
    local results = through(function(message)
      local which = message.key
      local j = message.json
      if which == '1' then
        j.a = 2
        message.value = 'plain'
      elseif which == '2' then
        message.value = 'plain'
        j.a = 2
      elseif which == '3' then
        message.value = '{"b":1}'
        message.json.b = 2
      elseif which == '4' then
        j.a = 2
        message.value = message.value .. ' '
      elseif which == '5' then
        j.a = 2
        local before = message.value
        j.a = 3
        message.headers = { { 'before', before } }
      elseif which == '6' then
        j.a = 2
        return { key = '6', value = tide.null }
      elseif which == '7' then
        j.a = 2
        return { key = 'seven' }
      elseif which == '8' then
        message.json = { x = { 1, tide.null } }
      elseif which == '9' then
        j.a = 2
        message.json = nil
      end
      return message
    end, (function()
      local messages = {}
      for i = 1, 9 do messages[i] = { value = '{"a":1}', key = tostring(i) } end
      return messages
    end)())
    local values = {}
    for i = 1, 9 do values[i] = results[i].value or false end
    assert.same({ 'plain', '{"a":2}', '{"b":2}', '{"a":2} ', '{"a":3}', false, '{"a":2}', '{"x":[1,null]}', false },
      values)
    assert.same({ { 'before', '{"a":2}' } }, results[5].headers)
  end)

  it('message.json is nil for a null value, tide.null for null, a scalar for a scalar', function()
    local results = through(function(message)
      local j = message.json
      return j == nil and 'nil' or j == tide.null and 'null' or type(j)
    end, { { value = nil, key = 'k' }, 'null', '5', '"x"', 'false', '[]' })
    assert.same({ 'nil', 'null', 'number', 'string', 'boolean', 'cdata' }, { results[1].value, results[2].value,
      results[3].value, results[4].value, results[5].value, results[6].value })
  end)

  it('message.json goes from function to function with its edits', function()
    local results = through({
      function(message) message.json.a = 2; return message end,
      function(message) message.json.b = message.json.a + 1; return message end,
      function(message) return message.value end,
      function(message) message.json.c = tide.json.len(message.json); return message end,
    }, { '{"a":1}' })
    assert.equal('{"a":2,"b":3,"c":2}', results[1].value)
  end)

  it('message.json rejects what is not JSON, naming the byte and the line; the rest goes on', function()
    local results = through(function(message)
      message.json.x = 1
      return message
    end, { '{}', '{"a":1,}', '{"a":"\255"}', '{"a":1e400}', '', '{}' })
    assert.equal(2, #results)
    assert.equal(4, fixture.run.engine:totals().dead_lettered)
    local told = fixture.letters()
    assert.truthy(told:find("json_spec.lua:%d+: the value is not JSON: '}' at byte 7 where a key should be"))
    assert.truthy(told:find('a byte that is not UTF-8 at byte 6', 1, true))
    assert.truthy(told:find('a number too large for a double at byte 5', 1, true))
    assert.truthy(told:find('it is empty', 1, true))
  end)

  it('message.json rejects a message whose edit has no JSON form', function()
    local results = through(function(message)
      message.json.x = 0 / 0
      return message
    end, { '{}' })
    assert.equal(0, #results)
    assert.truthy(fixture.letters():find('json_spec.lua:%d+: json%.x: NaN is no JSON number'))
  end)

  it('message.json says what to use in place of a table', function()
    local cases = {
      { 'next', function(view) return (next(view)) end, 'next.* for a view use tide.json.each' },
      { 'concat', function(view) return (table.concat(view)) end, 'table.concat%(tide.json.table%(view%)%)' },
      { 'insert', function(view) table.insert(view, 1) end, 'view%[#view %+ 1%] = value' },
      { 'sort', function(view) table.sort(view) end, 'for a view use tide.json.table%(view%)' },
      { 'unpack', function(view) return unpack(view) end, 'for a view use tide.json.table%(view%)' },
      { '..', function(view) return 'a' .. view end, 'json_spec.lua:%d+: a JSON view is joined .*tide.json.encode' },
    }
    through(function(message) return cases[message.json[1]][2](message.json) or 'nothing' end,
      { '[1]', '[2]', '[3]', '[4]', '[5]', '[6]' })
    local told = {}
    for line in fixture.letters():gmatch '[^\n]+' do told[#told + 1] = line end
    for i, case in ipairs(cases) do assert.matches(case[3], told[i], case[1]) end
  end)

  it('message.json is gone with its message', function()
    local kept
    local results = through(function(message)
      if kept then
        local ok, problem = pcall(function() return kept.a end)
        return tostring(ok) .. ' ' .. problem
      end
      kept = message.json
      return message
    end, { '{"a":1}', '{"a":2}' })
    assert.equal('{"a":1}', results[1].value)
    assert.truthy(results[2].value:find '^false .*this view is gone')
  end)

  it('message.json fills output blocks: what does not fit waits for the next one', function()
    local messages = {}
    for i = 1, 2000 do messages[i] = ('{"i":%d,"text":"%s"}'):format(i, ('x'):rep(i % 400)) end
    local results = through(function(message)
      message.json.more = message.json.text
      return message
    end, messages, { step = { output_block_size = 65536, auto = false } })
    assert.equal(2000, #results)
    for i = 1, 2000 do
      local text = ('x'):rep(i % 400)
      assert.equal(('{"i":%d,"text":"%s","more":"%s"}'):format(i, text, text), results[i].value)
    end
  end)

  it('message.json rejects a result over the maximum as too large', function()
    local results = through(function(message)
      message.json.big = ('x'):rep(message.json.n)
      return message
    end, { '{"n":10}', '{"n":100000}', '{"n":10}' },
      { step = { output_block_size = 65536, max_output_block_size = 65536, auto = false } })
    assert.equal(2, #results)
    assert.truthy(fixture.letters():find('too_large', 1, true))
  end)
end)
