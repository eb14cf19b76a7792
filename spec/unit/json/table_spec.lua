-- SPDX-License-Identifier: MIT
-- tide.json.table and tide.json.encode: plain tables that keep what lua-cjson loses.
local ffi = require 'ffi'
local json = require 'tidemill.run.json'
local seeds = require 'spec.support.seed'
local tide = json.public
local null = json.null

describe('tide.json', function()
  it('tide.json points from what other libraries call its functions to ours', function()
    for name, told in pairs {
      decode = 'tide.json has no "decode", here it is table; it has type, len, each, table, text, encode',
      stringify = 'here it is encode', colour = 'tide.json has no "colour"; it has type' } do
      local ok, problem = pcall(function() return tide[name] '{}' end)
      assert.is_false(ok)
      assert.truthy(problem:find('table_spec.lua:%d+: ') and problem:find(told, 1, true), problem)
    end
  end)
end)

describe('tide.json.type', function()
  after_each(json.reset)

  it('tide.json.type tells views, what is read from them, and plain tables', function()
    local j = json.open_copy '{"o":{},"a":[],"s":"x","n":1.5,"big":18446744073709551615,"t":false,"z":null}'
    assert.same({ 'object', 'object', 'array', 'string', 'number', 'number', 'boolean', 'null' },
      { tide.type(j), tide.type(j.o), tide.type(j.a), tide.type(j.s), tide.type(j.n), tide.type(j.big), tide.type(j.t),
        tide.type(j.z) })
    assert.is_nil(tide.type(j.none))
    assert.is_nil(tide.type(print))
    assert.same({ 'object', 'object', 'array', 'array', 'array' }, { tide.type {}, tide.type(tide.table '{"a":1}'),
      tide.type { 1 }, tide.type(tide.table '[]'), tide.type(json.array {}) })
  end)
end)

describe('tide.json.table', function()
  after_each(json.reset)

  it('tide.json.table reads text and views, edits included', function()
    local text = '{"a":[1,2.5,"x\\n",true,false,null,{"b":{}}]}'
    local expected = { a = { 1, 2.5, 'x\n', true, false, null, { b = {} } } }
    assert.same(expected, tide.table(text))
    local j = json.open_copy(text)
    assert.same(expected, tide.table(j))
    assert.same({ 1, 2.5, 'x\n', true, false, null, { b = {} } }, tide.table(j.a))
    j.a[7].b.c = 'new'
    assert.same({ b = { c = 'new' } }, tide.table(j.a[7]))
  end)

  it('tide.json.table reads what stands in a view, and what was assigned to it', function()
    local text = '{"b":"x\\ny","n":[1.5,9007199254740993,123456789012345678901,null],"o":{"p":{},"q":[]}}'
    local j = json.open_copy('[0, ' .. text .. ' ]')
    assert.equal(text, tide.encode(tide.table(j[2])))
    assert.equal('[0,' .. text .. ']', tide.encode(tide.table(j)))
    assert.equal('x\ny', tide.table(j[2]).b)
    j[1] = { deep = { 1.5, 'a"b' } }
    assert.same({ deep = { 1.5, 'a"b' } }, tide.table(j[1]))
    assert.same({ 1.5, 'a"b' }, tide.table(j[1].deep))
    assert.equal('[{"deep":[1.5,"a\\"b"]},' .. text .. ']', tide.encode(tide.table(j)))
  end)

  it('tide.json.table of a view leaves numbers that are computed as they are', function()
    local j = json.open_copy '{"a":1.50,"b":0}'
    assert.same({ a = 1.5, b = 0 }, tide.table(j))
    j.b = 3 / 2
    assert.equal('{"a":1.50,"b":1.5}', json.text())
  end)

  it('tide.json.table reads scalars', function()
    assert.equal(5, tide.table '5')
    assert.equal(null, tide.table 'null')
    assert.equal('', tide.table '""')
  end)

  it('tide.json.table keeps 64-bit integers, null, empty arrays and empty objects over a round', function()
    local text = '[9007199254740993,-9007199254740993,18446744073709551615,9223372036854775808,-9223372036854775808,'
      .. '9223372036854775807,4294967296000000001,-4294967296000000001,9007199254740992,[],{},null,[[]],[null]]'
    local list = tide.table(text)
    assert.equal('9007199254740993LL', tostring(list[1]))
    assert.equal('18446744073709551615ULL', tostring(list[3]))
    assert.equal(text, tide.encode(list))
  end)

  it('tide.json.table takes the last of duplicate keys and unescapes', function()
    assert.same({ a = 3, ['"\240\157\132\158'] = 1 }, tide.table '{"a":1,"\\u0061":3,"\\"\\ud834\\udd1e":1}')
  end)

  it('tide.json.table takes four hexadecimal digits after \\u and nothing else', function()
    for place = 1, 4 do
      for code = 0, 255 do
        local byte = string.char(code)
        local digits = ('014F'):sub(1, place - 1) .. byte .. ('014F'):sub(place + 1)
        local accepted, list = pcall(tide.table, '["\\u' .. digits .. '","filled up"]')
        assert.equal(byte:find '^%x$' ~= nil, accepted, digits)
        if accepted then
          local point = tonumber(digits, 16)
          local first, last = 0x80 + math.floor(point / 64) % 64, 0x80 + point % 64
          local text = point < 0x80 and string.char(point)
            or point < 0x800 and string.char(0xC0 + math.floor(point / 64), last)
            or string.char(0xE0 + math.floor(point / 4096), first, last)
          assert.equal(text, list[1], digits)
        end
      end
    end
  end)

  it('tide.json.table undoes escapes in strings of any length', function()
    for length = 0, 1100 do
      local before = ('x'):rep(length)
      local list = tide.table('["' .. before .. '\\n\\ud83d\\ude42","' .. before .. '"]')
      assert.equal(before .. '\n🙂', list[1])
      assert.equal(before, list[2])
    end
  end)

  it('tide.json.table refuses any escape that JSON does not know', function()
    for code = 0, 255 do
      local byte = string.char(code)
      local accepted = pcall(tide.table, '["\\' .. byte .. '"]')
      assert.equal(byte:find '^["\\/bfnrt]$' ~= nil, accepted, code)
    end
  end)

  it('tide.json.table refuses what is not JSON, naming the byte', function()
    local ok, problem = pcall(tide.table, '{"a":1,}')
    assert.is_false(ok)
    assert.truthy(problem:find("'}' at byte 7", 1, true), problem)
    assert.is_false(pcall(tide.table, 5))
    assert.is_false(pcall(tide.table, {}))
  end)

  it('tide.json.table reads as deep as documents go', function()
    local text = ('['):rep(1024) .. (']'):rep(1024)
    assert.equal(text, tide.encode(tide.table(text)))
  end)
end)

describe('tide.json.encode', function()
  after_each(json.reset)

  it('tide.json.encode writes scalars, tables, null and views', function()
    assert.equal('"a\\"\\u0001é"', tide.encode 'a"\1é')
    assert.equal('1.5', tide.encode(1.5))
    assert.equal('true', tide.encode(true))
    assert.equal('null', tide.encode(null))
    assert.equal('-9007199254740993', tide.encode(-9007199254740993LL))
    assert.equal('{"a":[1,{"b":false}]}', tide.encode { a = { 1, { b = false } } })
    local j = json.open_copy '{"a":{"b":1}}'
    j.a.c = 2
    assert.equal('{"b":1,"c":2}', tide.encode(j.a))
    assert.equal('[{"b":1,"c":2},7]', tide.encode { j.a, 7 })
  end)

  it('tide.json.encode tells arrays from objects', function()
    assert.equal('{}', tide.encode {})
    assert.equal('[]', tide.encode(json.array {}))
    assert.equal('[]', tide.encode(json.array()))
    assert.equal('[1]', tide.encode(json.array { 1 }))
    local scattered = { [3] = 'c' }
    scattered[2], scattered[1] = 'b', 'a'
    assert.equal('["a","b","c"]', tide.encode(scattered))
  end)

  it('tide.json.encode writes the names of an object in the order of their bytes, at every depth', function()
    assert.equal('{"":0,"A":1,"a":{"x":[{"p":1,"q":2}],"y":2},"aa":3,"b":{}}',
      tide.encode { b = {}, aa = 3, a = { y = 2, x = { { q = 2, p = 1 } } }, A = 1, [''] = 0 })
    local seed = seeds.draw()
    for _ = 1, 200 do
      local object, names = {}, {}
      for _ = 1, math.random(0, 40) do
        local name = string.format('%x', math.random(0, 99999))
        if object[name] == nil then names[#names + 1] = name end
        object[name] = { [name] = name, a = #names }
      end
      table.sort(names)
      local parts = {}
      for i, name in ipairs(names) do parts[i] = ('"%s":%s'):format(name, tide.encode(object[name])) end
      assert.equal('{' .. table.concat(parts, ',') .. '}', tide.encode(object), 'seed ' .. seed)
    end
    pcall(tide.encode, { a = { b = print } }) -- an error leaves nothing behind
    assert.equal('{"a":1,"b":2}', tide.encode { b = 2, a = 1 })
  end)

  it('tide.json.encode refuses tables that are neither', function()
    local function refuses(pattern, thing)
      local ok, problem = pcall(tide.encode, thing)
      assert.is_false(ok)
      assert.truthy(problem:find(pattern), problem)
    end
    refuses('the string x; names are written', { 1, 2, x = 3 })
    refuses('1 to n without gaps: the number 3; names are written as tostring%(key%), null in', { [1] = 1, [3] = 3 })
    refuses('keys other than strings, or 1 to n without gaps: the number 443; names', { [443] = 1 })
    refuses('the number 443; names', { x = 1, [443] = 1 })
    refuses('an array has gaps among 1 to 4: null in an array is tide.null', { 1, 2, nil, 4 })
    refuses('keys other than strings, or 1 to n without gaps: the number 0', { [0] = 1 })
    refuses('the number 1.5', { [1.5] = 1 })
    refuses('keys other than strings, or 1 to n without gaps: the boolean key', { [true] = 1 })
    refuses('the string x; names', json.array { x = 1 })
    refuses('NaN', { 0 / 0 })
    refuses('infinity', { -math.huge })
    refuses('not UTF%-8', { '\255' })
    refuses('not UTF%-8', { ['\255'] = 1 })
    refuses('a function has no JSON', { print })
    refuses('a nil has no JSON', nil)
    refuses('a cdata that is no', { ffi.new 'int[2]' })
    local cycle = {}
    cycle[1] = cycle
    refuses('in a cycle', cycle)
  end)

  it('tide.json.encode quotes any text', function()
    math.randomseed(11)
    for length = 0, 200 do
      local codes = {}
      for i = 1, length do codes[i] = string.char(math.random(3) == 1 and math.random(0, 40) or math.random(0, 127)) end
      local text = table.concat(codes)
      assert.equal(text, tide.table(tide.encode(text)))
      assert.equal(text, json.open_copy(tide.encode(text)))
      json.reset()
    end
  end)
end)
