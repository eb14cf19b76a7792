-- SPDX-License-Identifier: MIT
-- Numbers: what Lua sees of them, and that a number which is copied keeps its bytes.
local json = require 'tidemill.run.json'
local json_view = require 'spec.support.json_view'
local tide = json.public

describe('a number of a view', function()
  after_each(json.reset)

  local open = json.open_copy
  local edited, refuses = json_view.edited, json_view.refuses

  it('a number of a view keeps integers beyond 2^53', function()
    local j = open [[{"a":9007199254740992,"b":9007199254740993,"c":-9007199254740993,"d":18446744073709551615,
      "e":9223372036854775808,"f":-9223372036854775808,"g":18446744073709551616,"h":9007199254740993.0}]]
    assert.equal(2 ^ 53, j.a)
    assert.equal('9007199254740993LL', tostring(j.b))
    assert.equal('-9007199254740993LL', tostring(j.c))
    assert.equal('18446744073709551615ULL', tostring(j.d))
    assert.equal('9223372036854775808ULL', tostring(j.e))
    assert.equal('-9223372036854775808LL', tostring(j.f))
    assert.equal('18446744073709551616', tostring(j.g))
    assert.equal(2 ^ 53, j.h)
  end)

  it('a number of a view keeps the digits of integers beyond 64 bits', function()
    local text = '{"a":123456789012345678901,"b":-9223372036854775809,"c":123456789012345678902,"n":5}'
    local j = open(text)
    local a, b = j.a, j.b
    assert.equal('user-123456789012345678901', 'user-' .. a)
    assert.equal('123456789012345678901-9223372036854775809', a .. b)
    assert.is_true(a == j.a and a ~= j.c and a ~= 5)
    assert.is_true(a < j.c and b < a and a > 1e20 and a >= j.a and b < 0 and 5 <= a and (j.c < a) == false)
    assert.is_true(open '18446744073709551616' > 18446744073709551615ULL)
    j = open(text)
    assert.same({ [tostring(a)] = 1 }, { [tostring(j.a)] = 1 })
    assert.equal(text, tide.encode(tide.table('[' .. text .. ']')[1]):len() == #text and text)
    for _, wrong in ipairs { function() return a + 1 end, function() return -a end, function() return 2 * a end } do
      refuses('number_spec.lua:%d+: the integer 123456789012345678901 has more than 64 bits', wrong)
    end
    json.reset()
    assert.equal('123456789012345678901', tostring(a)) -- it outlives the document
    assert.equal('{"x":123456789012345678901}', edited('{}', function(v) v.x = a end))
    assert.equal('[123456789012345678901]', tide.encode { a })
  end)

  it('an integer beyond 2^53 keeps its digits, whatever their number and whatever follows', function()
    for digits = 17, 21 do
      for first = 1, 9 do
        for _, sign in ipairs { '', '-' } do
          local text = sign .. first .. ('9081726354012345678'):rep(2):sub(1 + first, digits + first - 1)
          for _, close in ipairs { '', ' ', (' '):rep(20) } do
            assert.equal('[' .. text .. ']', tide.encode(tide.table('[' .. text .. close .. ']')))
          end
        end
      end
    end
    for _, text in ipairs { '18446744073709551615', '18446744073709551616', '18446744073709551609',
      '9999999999999999999', '10000000000000000000', '-9223372036854775808', '-9223372036854775809',
      '99999999999999999999' } do
      assert.equal('[' .. text .. ']', tide.encode(tide.table('[' .. text .. ']')))
    end
  end)

  local odd = { '1.0', '-1.0', '1e2', '1E+2', '0.10', '-0.0', '-0', '5e-324', '0.1234567890123456789', '1e-7',
    '0.0000001', '100000000000000000000.0',
    '123456789012345678901234567890', '-18446744073709551617', '9007199254740993',
    '12345678901234567890', '1.7976931348623157e308' }
  for _, text in ipairs(odd) do
    it('a number of a view copies the bytes of ' .. text .. ' from field to field', function()
      local copy = function(j) j.b = j.a end
      assert.equal(('{"a":%s,"b":%s}'):format(text, text), edited(('{"a":%s}'):format(text), copy))
      assert.equal(('{"a":%s,"b":%s}'):format(text, text), edited(('{"a":%s,"b":7}'):format(text), copy))
      assert.equal(('{"b":%s}'):format(text), edited(('{"a":%s}'):format(text), function(j) j.b, j.a = j.a, nil end))
    end)
  end

  it('a number of a view writes its own numbers as ever, whatever was read', function()
    local text = '{"a":1.0,"zero":0.0,"i":3,"n":0}'
    assert.equal('{"a":1.0,"zero":0.0,"i":3,"n":1}', edited(text, function(j)
      if j.a == 1 and j.i == 3 then j.n = 1 end
    end))
    assert.equal('{"a":2,"zero":0.0,"i":3,"n":0}', edited(text, function(j) j.a = j.a * 2 end))
    assert.equal('{"x":1,"y":1.5}', edited('{"x":0,"y":0}', function(j) j.x, j.y = 1, 1.5 end))
  end)

  it('a number of a view writes small integers of new tables plainly: they cannot be told from those'
    .. ' that a script writes', function()
    assert.equal('{"r":1.0,"x":0.12345678901234567890,"t":[1,0.12345678901234567890,1]}',
      edited('{"r":1.0,"x":0.12345678901234567890}', function(j) j.t = { 1, j.x, j.r } end))
  end)

  it('a number of a view takes no text for a number that was read with two', function()
    assert.equal('{"a":1.50,"b":1.5,"i":1,"c":1.5}', edited('{"a":1.50,"b":1.5,"i":1}', function(j)
      local a, _, _ = j.a, j.b, j.i
      j.c = a
    end))
  end)

  it('a number of a view keeps the bytes of the 16 numbers read last, for more digits than a double has', function()
    local members = {}
    for i = 1, 16 do
      members[i] = ('"k%d":0.12345%02d8901234567%02d'):format(i, i, i * 3)
    end
    local from = '{' .. table.concat(members, ',') .. '}'
    local copied = edited(from, function(j)
      local read = {}
      for i = 1, 16 do read[i] = j['k' .. i] end
      for i = 1, 16 do j['k' .. i] = read[i] end
    end)
    assert.equal(from, copied)
  end)
end)
