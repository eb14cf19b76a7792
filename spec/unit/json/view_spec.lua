-- SPDX-License-Identifier: MIT
-- The view: what is read, what an edit leaves of the original bytes.
local ffi = require 'ffi'
local json = require 'tidemill.run.json'
local json_view = require 'spec.support.json_view'
local tide = json.public
local null = json.null

describe('a view', function()
  after_each(json.reset)

  local open = json.open_copy
  local edited, refuses = json_view.edited, json_view.refuses

  it('a view reads any depth', function()
    local j = open '{"a":{"b":[10,{"id":"x"}]},"t":true,"f":false,"n":null,"s":"é\\n","d":-1.5e2}'
    assert.same({ 'x', 10, true, false, 'é\n', -150 }, { j.a.b[2].id, j.a.b[1], j.t, j.f, j.s, j.d })
    assert.equal(null, j.n)
    assert.is_nil(j.x)
    assert.is_nil(j.a.b[3])
    assert.is_nil(j.a.b[0])
    assert.is_nil(j.a.b[1.5])
    assert.is_nil(j.a.b.x)
    assert.is_nil(j[1])
    assert.is_nil(j[true])
  end)

  it('a view reads a scalar document as the scalar', function()
    assert.equal(5, open ' 5 ')
    assert.equal('a"b', open '"a\\"b"')
    assert.equal(null, open 'null')
    assert.is_true(open 'true')
  end)

  it('a view compares keys unescaped, in both directions', function()
    assert.equal('secret', open('{"passw\\u006frd":"secret"}').password)
    assert.equal(1, open('{"a\\"b\\\\":1}')['a"b\\'])
    assert.equal(2, open('{"\\ud834\\udd1e":2}')['\240\157\132\158'])
    assert.equal('{}', edited('{"passw\\u006frd":"secret"}', function(j) j.password = nil end))
    assert.equal('{"passw\\u006frd":"*"}', edited('{"passw\\u006frd":"s"}', function(j) j.password = '*' end))
    assert.is_nil(open('{"ab":1}').a)
    assert.is_nil(open('{"a":1}').ab)
    assert.is_nil(open('{"a"   :1}')['a"  '])
  end)

  it('a view reads the last of duplicate keys, edits and deletes all', function()
    local text = '{"a":1,"b":2,"a":3}'
    assert.equal(3, open(text).a)
    assert.equal('{"a":9,"b":2,"a":9}', edited(text, function(j) j.a = 9 end))
    assert.equal('{"b":2}', edited(text, function(j) j.a = nil end))
    assert.equal('{"a":7,"b":2,"a":7}', edited(text, function(j) j.a = nil; j.a = 7 end))
  end)

  it('a view keeps untouched bytes', function()
    local text = ' {"big" : 123456789012345678901234567890 ,\n  "e": [ ], "n":null, "d" : 1.10, "u":"\\u00e9" }\n'
    assert.equal(text, edited(text, function() end))
    assert.equal((text:gsub('1%.10', '2')), edited(text, function(j) j.d = 2 end))
    assert.equal(' {"big" : 123456789012345678901234567890 ,\n  "e": [ ], "n":null, "u":"\\u00e9" }\n',
      edited(text, function(j) j.d = nil end))
  end)

  it('a view deletes members with their commas', function()
    local function without(...)
      local names = { ... }
      return edited('{ "a":1, "b":2, "c":3 }', function(j)
        for _, name in ipairs(names) do j[name] = nil end
      end)
    end
    assert.equal('{ "b":2, "c":3 }', without 'a')
    assert.equal('{ "a":1, "c":3 }', without 'b')
    assert.equal('{ "a":1, "b":2 }', without 'c')
    assert.equal('{ "c":3 }', without('a', 'b'))
    assert.equal('{ "b":2 }', without('c', 'a'))
    assert.equal('{ "a":1 }', without('c', 'b'))
    assert.equal('{  }', without('b', 'c', 'a'))
    assert.equal('{ "a":1, "b":2, "c":3 }', without 'd')
  end)

  it('a view adds members', function()
    assert.equal('{"a":1}', edited('{}', function(j) j.a = 1 end))
    assert.equal('{"a":1 }', edited('{ }', function(j) j.a = 1 end):gsub('^{ *', '{'))
    assert.equal('{"a":1,"b":2,"c":3}', edited('{"a":1}', function(j) j.b = 2; j.c = 3 end))
    assert.equal('{"b":2}', edited('{"a":1}', function(j) j.a = nil; j.b = 2 end))
    assert.equal('{"a":1,"c":3}', edited('{"a":1}', function(j) j.b = 2; j.c = 3; j.b = nil end))
    assert.equal('{"a":1}', edited('{"a":1}', function(j) j.b = 2; j.b = nil end))
    assert.equal('{"a":1,"b":3}', edited('{"a":1}', function(j) j.b = 2; j.b = nil; j.b = 3 end))
    assert.equal('{"a\\"\\n\\u0001":"\\"\\\\/\\b"}', edited('{}', function(j) j['a"\n\1'] = '"\\/\b' end))
    assert.equal('{"a":{"b":{"x":1},"y":2},"z":3}', edited('{"a":{"b":{}}}', function(j)
      j.z = 3
      j.a.y = 2
      j.a.b.x = 1
    end))
  end)

  it('a view shows edits at once', function()
    local j = open '{"a":1,"b":{"c":[1,2]}}'
    j.a, j.new = 'x', 1.5
    j.b.c[2], j.b.c[3] = 'two', true
    assert.same({ 'x', 1.5, 'two', true, 3 }, { j.a, j.new, j.b.c[2], j.b.c[3], #j.b.c })
    j.a, j.new = nil, nil
    assert.is_nil(j.a)
    assert.is_nil(j.new)
    assert.equal('{"b":{"c":[1,"two",true]}}', json.text())
  end)

  it('a view edits arrays: indexes stay, the text closes the gaps', function()
    local text = '[1, 2, 3, 4]'
    assert.equal('[1, 3, 4]', edited(text, function(j) j[2] = nil end))
    assert.equal('[1, 2, 4]', edited(text, function(j)
      j[3] = nil
      assert.is_nil(j[3])
      assert.equal(4, j[4])
      assert.equal(4, #j)
    end))
    assert.equal('[2, 4]', edited(text, function(j) for i = 1, #j do if j[i] % 2 == 1 then j[i] = nil end end end))
    assert.equal('[]', edited(text, function(j) for i = #j, 1, -1 do j[i] = nil; assert.equal(i - 1, #j) end end))
    assert.equal('[1, 2, 3, 4,5,6]', edited(text, function(j) j[#j + 1] = 5; j[#j + 1] = 6 end))
    assert.equal('[1, 2, 3,9]', edited(text, function(j) j[4] = nil; j[5] = 9 end))
    assert.equal('[1, 2, 3, 9]', edited(text, function(j) j[4] = nil; j[#j + 1] = 9 end))
    assert.equal('[1]', edited('[]', function(j) j[1] = 1; j[2] = 2; j[2] = nil end))
    refuses('index 6 of an array of 4', function() open(text)[6] = 1 end)
    refuses('index 0 of an array', function() open(text)[0] = 1 end)
    refuses('takes numbers as indexes', function() open(text).x = 1 end)
    refuses('takes strings as keys', function() open('{}')[1] = 1 end)
    refuses('not by a boolean', function() open('{}')[true] = 1 end)
  end)

  it('a view assigns tables, which are copied', function()
    local list = { 1, { x = 'y' } }
    assert.equal('{"t":[1,{"x":"y"}],"e":{},"a":[]}', edited('{}', function(j)
      j.t = list
      j.e = {}
      j.a = json.array {}
      list[2].x = 'changed'
    end))
  end)

  it('a view assigns views, which are copied with their edits', function()
    assert.equal('{"a":{"x":1,"y":2},"b":{"x":1,"y":2}}', edited('{"a":{"x":1}}', function(j)
      j.a.y = 2
      j.b = j.a
    end))
    assert.equal('{"a":{"x":1,"y":3},"b":{"x":1}}', edited('{"a":{"x":1}}', function(j)
      j.b = j.a
      j.a.y = 3
    end))
    assert.equal('{"a":1,"self":{"a":1,"self":{"a":1}}}', edited('{"a":1}', function(j) j.self = j; j.self = j end))
    assert.equal('{"t":[{"x":1},5]}', edited('{"a":{"x":1}}', function(j) j.t = { j.a, 5 }; j.a = nil end))
  end)

  it('a view edits what was assigned', function()
    assert.equal('{"t":{"deep":{"x":2},"list":[1,2,3]}}', edited('{}', function(j)
      j.t = { deep = { x = 1 } }
      j.t.deep.x = 2
      j.t.list = { 1, 2 }
      j.t.list[3] = 3
      assert.same({ 2, 3 }, { j.t.deep.x, #j.t.list })
    end))
    assert.equal('{"a":[[],[1]]}', edited('{"a":[0,1]}', function(j)
      j.a[1], j.a[2] = json.array {}, json.array {}
      j.a[2][1] = 1
    end))
  end)

  it('a view forgets edits within what was replaced or deleted', function()
    assert.equal('{"a":1,"c":2}', edited('{"a":{"x":{"y":1}},"b":[1,2],"c":2}', function(j)
      j.a.x.y = 5
      j.a.x.z = 6
      j.b[1] = nil
      j.b[3] = 1
      j.a = 1
      j.b = nil
    end))
    assert.equal('{"a":{"x":1,"y":2}}', edited('{"a":{"x":1}}', function(j)
      local a = j.a
      a.y = 2
      j.a = nil
      j.a = a
    end))
  end)

  it('a view writes numbers as the shortest text that reads back the same', function()
    local function written(number)
      return edited('[0]', function(j) j[1] = number end):sub(2, -2)
    end
    local cases = { [0.1] = '0.1', [1 / 3] = '0.3333333333333333', [1e21] = '1e+21', [2 ^ 53] = '9007199254740992',
      [-1.5] = '-1.5', [100] = '100', [0.001] = '0.001', [1234567.875] = '1234567.875', [5e-324] = '5e-324',
      [1.7976931348623157e308] = '1.7976931348623157e+308', [0.30000000000000004] = '0.30000000000000004' }
    for number, text in pairs(cases) do assert.equal(text, written(number)) end
    assert.equal('-0', written(-0.0))
    assert.equal('9223372036854775807', written(9223372036854775807LL))
    assert.equal('-9223372036854775808', written(-9223372036854775807LL - 1))
    assert.equal('18446744073709551615', written(18446744073709551615ULL))
    math.randomseed(7)
    for _ = 1, 20000 do
      local number = (math.random() - 0.5) * 10 ^ math.random(-20, 20)
      if math.random(2) == 1 then number = math.floor(number * 1000) / 1000 end
      local text = written(number)
      assert.equal(number, tonumber(text))
      assert.equal(number, open('[' .. text .. ']')[1])
      local digits = #text:gsub('e.*', ''):gsub('[-.]', ''):gsub('^0+', ''):gsub('0+$', '')
      if digits > 1 then
        assert.is_true(tonumber(('%.' .. digits - 1 .. 'g'):format(number)) ~= number, text)
      end
      json.reset()
    end
  end)

  it('a view refuses what JSON has no form for', function()
    refuses('NaN is no JSON number', function() open('{}').a = 0 / 0 end)
    refuses('infinity is no JSON number', function() open('{}').a = math.huge end)
    refuses('NaN is no JSON number', function() open('{}').a = { { 0 / 0 } } end)
    refuses('the string is not UTF%-8', function() open('{}').a = 'a\255' end)
    refuses('the key is not UTF%-8', function() open('{}')['\255'] = 1 end)
    refuses('in a cycle', function()
      local t = {}
      t.t = t
      open('{}').a = t
    end)
    refuses('a function has no JSON', function() open('{}').a = print end)
    refuses('nesting deeper than 1024', function()
      local inner = open '{}'
      for _ = 1, 2000 do
        inner.a = {}
        inner = inner.a
      end
    end)
    refuses('nesting deeper than 1024', function()
      local j = open(('['):rep(1024) .. (']'):rep(1024))
      j[2] = { j }
      return j[2][1]
    end)
    refuses('a cdata that is no', function() open('{}').a = ffi.new 'int[1]' end)
    refuses('json%.a: NaN', function() open('{}').a = 0 / 0 end)
  end)

  it('a view nests no deeper than is read, assigned values included', function()
    local function nested(depth)
      return tide.table(('['):rep(depth) .. (']'):rep(depth))
    end
    local j = open('{"deep":' .. ('['):rep(1000) .. '"{[\\""' .. (']'):rep(1000) .. ',"a":{}}')
    j.b, j.a.x = nested(1023), nested(1022)
    refuses('json%.b: nesting deeper than 1024', function() j.b = nested(1024) end)
    refuses('json%.a%.x: nesting deeper than 1024', function() j.a.x = nested(1023) end)
    j.a.x = { nested(3), 1 }
    j.a.x[1][1] = nested(1020)
    refuses('json%.a%.x%[1%]%[1%]: nesting deeper than 1024', function() j.a.x[1][1] = nested(1021) end)
    local text = json.text()
    json.reset()
    assert.equal(text, tostring(open(text)))
  end)

  it('a view is counted and walked, edits included', function()
    local j = open '{"a":1,"b":2,"a":3,"l":[1,2,3]}'
    j.b, j.c, j.l[2] = nil, 'new', nil
    local seen = {}
    for key, value in tide.each(j) do seen[#seen + 1] = key .. '=' .. tostring(value) end
    assert.same({ 'a=3', 'l=[1,3]', 'c=new' }, seen)
    assert.equal(3, tide.len(j))
    assert.equal(3, #j)
    seen = {}
    for i, value in tide.each(j.l) do seen[#seen + 1] = i .. '=' .. value end
    assert.same({ '1=1', '3=3' }, seen)
    for key in pairs(j) do j[key] = nil end
    assert.equal('{}', json.text())
    refuses('tide.json.len takes a view, got a table', tide.len, {})
  end)

  it('a view walks many keys, duplicates and escapes once each', function()
    local parts, expected = {}, {}
    for i = 1, 500 do
      parts[i] = ('"%s%d":%d'):format(i % 2 == 0 and 'k' or '\\u006b', i % 300, i)
      expected['k' .. i % 300] = i
    end
    local seen, count = {}, 0
    for key, value in pairs(open('{' .. table.concat(parts, ',') .. '}')) do
      seen[key], count = value, count + 1
    end
    assert.same(expected, seen)
    assert.equal(300, count)
  end)

  it('a view is equal to a view of the same value', function()
    local j = open '{"a":{},"b":{}}'
    assert.is_true(j.a == j.a)
    assert.is_false(j.a == j.b)
    assert.is_false(j.a == nil)
    assert.is_false(j.a == 'a')
    assert.equal('{"a":{},"b":{}}', tostring(j))
  end)

  it('a view is gone after the message', function()
    local j = open '{"a":{"b":1}}'
    local a = j.a
    local walk, state = pairs(j)
    json.reset()
    open '{"a":{"b":2}}'
    refuses('this view is gone', function() return j.a end)
    refuses('this view is gone', function() a.b = 1 end)
    refuses('this view is gone', function() return #a end)
    refuses('this view is gone', function() return pairs(a) end)
    refuses('this view is gone', walk, state)
    refuses('this view is gone', tide.encode, a)
  end)

  it('a view is one of as many as are wanted', function()
    local list = {}
    for i = 1, 1000 do list[i] = ('{"id":%d}'):format(i) end
    local j, kept = open('[' .. table.concat(list, ',') .. ']'), {}
    for i = 1, 1000 do kept[i] = j[i] end
    for i = 1, 1000 do assert.equal(i, kept[i].id) end
    json.reset()
    for i = 1, 1000, 100 do refuses('this view is gone', function() return kept[i].id end) end
  end)

  it('a view is no number and no address to a script', function()
    local j = open '{"a":{}}'
    for _, use in ipairs { function() return j + 1 end, function() return j - j end, function() return j < j end,
      function() return tonumber(j) + 1 end, function() return j() end } do
      assert.is_false(pcall(use))
    end
  end)

  it('a view takes any name as a field', function()
    local j = open '{"len":1,"each":2,"node":3,"doc":4,"serial":5,"__index":6,"ÿserial":7}'
    assert.same({ 1, 2, 3, 4, 5, 6, 7 }, { j.len, j.each, j.node, j.doc, j.serial, j.__index, j['ÿserial'] })
    j.doc, j.node, j.serial = 'x', 'y', 'z'
    assert.same({ 'x', 'y', 'z' }, { j.doc, j.node, j.serial })
  end)
end)
