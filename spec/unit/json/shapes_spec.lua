-- SPDX-License-Identifier: MIT
-- tide.json.table makes the tables of objects with names that it has seen often (run/json_shapes.h) in another way than
-- those of others: both ways give the same.
local json = require 'tidemill.run.json'
local tide = json.public

local OFTEN = 40 -- more than it takes until a shape has a constructor

local function copies_of(text)
  local list = {}
  for i = 1, OFTEN do list[i] = tide.table(text) end
  return list
end

-- Reads the text often and compares each result with what is expected; without it, with the first one.
local function always(text, expected)
  local list = copies_of(text)
  for i = 1, OFTEN do assert.same(expected or list[1], list[i]) end
  assert.equal(tide.encode(list[1]), tide.encode(list[OFTEN]))
end

local function numbered(count, format)
  local parts, expected = {}, {}
  for i = 1, count do
    local name = format:format(i)
    parts[i], expected[name] = ('"%s":%d'):format(name, i), i
  end
  return '{' .. table.concat(parts, ',') .. '}', expected
end

describe('tide.json.table of objects that are alike', function()
  after_each(json.reset)

  it('tide.json.table gives the same table for a shape that it knows as for one that it does not', function()
    always('{"a":1}', { a = 1 })
    always('{"":{"":{}}}', { [''] = { [''] = {} } })
    always('{"id":1,"tags":{"host":"h","zone":null},"list":[{"x":1,"y":[]},{"x":2,"y":[{"x":3,"y":false}]}]}',
      { id = 1, tags = { host = 'h', zone = json.null },
        list = { { x = 1, y = {} }, { x = 2, y = { { x = 3, y = false } } } } })
  end)

  it('tide.json.table gives each message a table of its own', function()
    local list = copies_of '{"a":1,"b":{"c":2}}'
    for i = 1, OFTEN do
      list[i].a, list[i].b.c, list[i]['n' .. i] = nil, i, true
    end
    for i = 1, OFTEN do assert.same({ b = { c = i }, ['n' .. i] = true }, list[i]) end
    assert.same({ a = 1, b = { c = 2 } }, tide.table '{"a":1,"b":{"c":2}}')
  end)

  it('tide.json.table takes the values of each message, of whatever type', function()
    local values = { '1', '"x"', 'true', 'false', 'null', '[]', '{}', '9007199254740993', '18446744073709551615',
      '123456789012345678901', '-1.5e3' }
    for _ = 1, OFTEN do
      for _, a in ipairs(values) do
        local text = ('{"first":%s,"second":[%s]}'):format(a, a)
        assert.equal(text:gsub('%-1.5e3', '-1500'), tide.encode(tide.table(text)))
      end
    end
  end)

  it('tide.json.table takes names of any bytes', function()
    always('{"a\\"b":1,"\\\\":2,"\\n\\r\\u0000\\t":3,"é\\u00e9":4,"]=os.exit(1),[":5,"]]":6,"end":7,"\127":8}',
      { ['a"b'] = 1, ['\\'] = 2, ['\n\r\0\t'] = 3, ['éé'] = 4, [']=os.exit(1),['] = 5, [']]'] = 6, ['end'] = 7,
        ['\127'] = 8 })
    local parts, expected = {}, {}
    for byte = 1, 64 do
      local name = string.char(byte - 1)
      parts[byte], expected[name] = ('%s:%d'):format(tide.encode(name), byte), byte
    end
    always('{' .. table.concat(parts, ',') .. '}', expected)
  end)

  it('tide.json.table takes the last of equal names, also of a shape that came often', function()
    always('{"a":1,"b":2,"a":3}', { a = 3, b = 2 })
    always('{"a":1,"\\u0061":2}', { a = 2 })
  end)

  it('tide.json.table reads white space around names', function()
    always('{ "a" : 1 ,\n"b"\t:\r\n{ } }', { a = 1, b = {} })
    assert.same({ a = 1, b = 2 }, tide.table '{"a" :1,"b":2}')
    always('{"a":1,"b":2}', { a = 1, b = 2 })
    assert.same({ a = 1, b = 2 }, tide.table '{"a"  :1,  "b"\n:2}')
  end)

  it('tide.json.table tells names apart that begin alike', function()
    local texts = {}
    for i, name in ipairs { 'a long name', 'a long nome', 'a long name!', 'a long n', 'a long ',
      'a long name\\u0000' } do
      texts[i] = ('{"%s":%d,"b":0}'):format(name, i)
    end
    for _ = 1, OFTEN do
      for _, text in ipairs(texts) do assert.equal(1, select(2, text:gsub(':%d,', ''))) end
      for _, text in ipairs(texts) do
        local again = tide.table(text)
        assert.equal(tide.encode(tide.table('[' .. text .. ']')), '[' .. tide.encode(again) .. ']')
        local name = tide.table('["' .. text:match '^{"(.-)":' .. '"]')[1]
        assert.equal(tonumber(text:match ':(%d),'), again[name], text)
      end
    end
  end)

  it('tide.json.table tells shapes apart that have the same first name', function()
    local tails = { '', ',"b":2', ',"b":2,"c":3', ',"c":3,"b":2', ',"b" :2', ',"bb":2', ',"a long name":2',
      ',"a long nome":2', ',"b":{"a":0,"b":{"a":1}}' }
    for _ = 1, OFTEN do
      for _, tail in ipairs(tails) do
        local names, count = { a = true }, 1
        for name in tail:gsub('{.*}', ''):gmatch '"([^"]*)"' do names[name], count = true, count + 1 end
        for name, value in pairs(tide.table('{"a":1' .. tail .. '}')) do
          assert.is_true(names[name] and value ~= nil, name)
          count = count - 1
        end
        assert.equal(0, count)
      end
    end
    assert.same({ a = 1, b = { a = 0, b = { a = 1 } } }, tide.table('{"a":1' .. tails[#tails] .. '}'))
  end)

  it('tide.json.table reads objects whose names are data, among those of a shape', function()
    for i = 1, 2000 do
      local name = 'k' .. i
      local text = ('{"x":%d,"y":{"%s":%d,"z":1},"w":2}'):format(i, name, i)
      assert.same({ x = i, y = { [name] = i, z = 1 }, w = 2 }, tide.table(text))
    end
  end)

  it('tide.json.table and encode take objects of any number of names, and any depth', function()
    for _, count in ipairs { 1, 31, 32, 33, 63, 64, 65, 300 } do
      always(numbered(count, 'n%04d'))
      always(numbered(count, 'a name that is long %04d'))
      assert.equal((numbered(count, 'n%04d')), tide.encode(tide.table((numbered(count, 'n%04d')))))
    end
    for _, depth in ipairs { 31, 32, 33, 34, 200, 1024 } do
      local text = ('{"a":'):rep(depth) .. '1' .. ('}'):rep(depth)
      for _ = 1, OFTEN do assert.equal(text, tide.encode(tide.table(text))) end
    end
    local wide = '{' .. ('"a":0,'):gsub('a', 'b') .. '"c":'
    local text = wide:rep(1000) .. '{}' .. ('}'):rep(1000)
    for _ = 1, OFTEN do assert.equal(text, tide.encode(tide.table(text))) end
  end)

  it('tide.json.table knows no more shapes than it has room for, and stays right', function()
    local function text_of(i) return ('{"k%d":%d,"x%d":{"y%d":"z"}}'):format(i, i, i, i) end
    for i = 1, 400 do
      for _ = 1, 20 do assert.equal(text_of(i), tide.encode(tide.table(text_of(i)))) end
    end
    for _ = 1, 20 do
      for i = 1, 400 do assert.equal(text_of(i), tide.encode(tide.table(text_of(i)))) end
    end
    collectgarbage()
    local before = collectgarbage 'count'
    for i = 1001, 2000 do
      for _ = 1, 20 do tide.table(text_of(i)) end
    end
    collectgarbage()
    assert.is_true(collectgarbage 'count' - before < 512, collectgarbage 'count' - before)
  end)
end)

describe('tide.json.encode of objects', function()
  it('tide.json.encode puts names in order that begin alike, or end in a NUL', function()
    assert.equal('{"12345678":1,"12345678\\u0000":2,"123456789":3,"1234567890":4,"a":5,"a\\u0000":6,'
      .. '"a\\u0000\\u0000":7,"a\\u0001":8,"ab":9}',
      tide.encode { ['12345678'] = 1, ['12345678\0'] = 2, ['123456789'] = 3, ['1234567890'] = 4, a = 5, ['a\0'] = 6,
        ['a\0\0'] = 7, ['a\1'] = 8, ab = 9 })
    assert.equal('{"z":1,"~":2,"\194\128":3,"é":4,"€":5}',
      tide.encode { ['€'] = 5, ['é'] = 4, ['\194\128'] = 3, ['~'] = 2, z = 1 })
  end)

  it('tide.json.encode refuses in an object what it refuses elsewhere, however many members there are', function()
    for _, count in ipairs { 1, 31, 32, 33, 100 } do
      local _, object = numbered(count, 'n%04d')
      for _, wrong in ipairs { { 'x', print, 'a function has no JSON' }, { 'x', 0 / 0, 'NaN' },
        { 'x', '\255', 'UTF%-8' },
        { '\255', 1, 'UTF%-8' }, { true, 1, 'keys other than strings' }, { 1.5, 1, 'keys other than' } } do
        object[wrong[1]] = wrong[2]
        local ok, problem = pcall(tide.encode, object)
        assert.is_false(ok)
        assert.matches(wrong[3], problem)
        object[wrong[1]] = nil
      end
      assert.equal((numbered(count, 'n%04d')), tide.encode(object))
    end
  end)

  it('tide.json.encode names the line of the script', function()
    local ok, problem = pcall(function() local _ = tide.encode { print } end)
    assert.is_false(ok)
    assert.matches('shapes_spec.lua:%d+: a function has no JSON$', problem)
    ok, problem = pcall(function() local _ = tide.table '{"a":}' end)
    assert.is_false(ok)
    assert.matches("shapes_spec.lua:%d+: not JSON: '}' at byte 5", problem)
    local view = json.open_copy '{}'
    json.reset()
    ok, problem = pcall(function() local _ = tide.encode { view } end)
    assert.is_false(ok)
    assert.matches('shapes_spec.lua:%d+: this view is gone', problem)
  end)
end)
