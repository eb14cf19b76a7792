-- SPDX-License-Identifier: MIT
-- tide.avro: the examples of the specification, what it refuses, random values of random schemas held against libavro,
-- and bytes that are broken at random.
local ffi = require "ffi"
local libavro = require "spec.support.libavro"
local refusals = require "spec.support.refusals"
local seed = require "spec.support.seed"
local tide = require "tidemill"
local refused, raises = refusals.refused, refusals.raises

seed.draw()

local avro, draw = tide.avro, math.random

local function pick(list) return list[draw(#list)] end

local function bytes_of(hex)
  return (hex:gsub("%s", ""):gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
end

local ORDER = [[{ "type": "record", "name": "Order", "namespace": "shop", "fields": [
  { "name": "id", "type": "long" }, { "name": "note", "type": ["null", "string"], "default": null },
  { "name": "state", "type": { "type": "enum", "name": "State", "symbols": ["NEW", "PAID"] }, "default": "NEW" },
  { "name": "raw", "type": "bytes", "default": "\u00ff\u0001" },
  { "name": "lines", "type": { "type": "array", "items": { "type": "record", "name": "Line", "fields": [
    { "name": "price", "type": "double" }, { "name": "state", "type": "State" } ] } }, "default": [] },
  { "name": "part_of", "type": ["null", "shop.Order"], "default": null } ] }]]

describe("tide.avro", function()
  it("tide.avro writes and reads the examples of the specification", function()
    local long = avro.schema '"long"'
    for value, hex in pairs { [0] = "00", [-1] = "01", [1] = "02", [-2] = "03", [2] = "04", [-64] = "7f", [64] = "8001",
      [-65] = "8101", [2 ^ 53] = "80 80 80 80 80 80 80 20" } do
      assert.equal(bytes_of(hex), long:encode(value))
      assert.equal(value, long:decode(bytes_of(hex)))
    end
    assert.equal(bytes_of "06666f6f", avro.schema '"string"':encode "foo")
    assert.equal("\0\0\0\63", avro.schema "float":encode(0.5))
    assert.equal("\0\0\0\0\0\0\224\63", avro.schema "double":encode(0.5))
    assert.equal("\1", avro.schema "boolean":encode(true))
    local test = avro.schema [[{ "type": "record", "name": "test", "fields": [{ "name": "a", "type": "long" },
      { "name": "b", "type": "string" }] }]]
    assert.equal(bytes_of "3606666f6f", test:encode { a = 27, b = "foo" })
    assert.same({ a = 27, b = "foo" }, test:decode(bytes_of "3606666f6f"))
    local list = avro.schema '{ "type": "array", "items": "long" }'
    assert.equal(bytes_of "04063600", list:encode { 3, 27 })
    assert.same({ 3, 27 }, list:decode(bytes_of "04063600"))
    assert.same({ 3, 27, 3 }, list:decode(bytes_of "03 04 06 36 02 06 00")) -- a block with its size, and another one
    local union = avro.schema '["null", "string"]'
    assert.equal(bytes_of "00", union:encode(nil))
    assert.equal(bytes_of "020261", union:encode "a")
    assert.equal(tide.null, union:decode "\0")
    assert.equal("C", avro.schema '{ "type": "enum", "name": "Foo", "symbols": ["A", "B", "C", "D"] }':decode "\4")
  end)

  it("tide.avro keeps each int64 as it is", function()
    local long = avro.schema '{ "type": "long", "logicalType": "timestamp-micros" }'
    for _, value in ipairs { 9223372036854775807LL, -9223372036854775807LL - 1, 9007199254740993LL,
      -9007199254740993LL } do
      local again = long:decode(long:encode(value))
      assert.is_true(ffi.istype("int64_t", again))
      assert.is_true(again == value, tostring(value))
    end
    for _ = 1, 2000 do
      local value = (draw(0, 2 ^ 31) * 2LL ^ 32 + draw(0, 2 ^ 31)) / 2LL ^ draw(0, 62) * (draw(2) == 1 and 1 or -1)
      assert.is_true(long:decode(long:encode(value)) == value, tostring(value))
      assert.equal(long:encode(value), select(1, libavro.read('"long"', long:encode(value))))
    end
    assert.is_true(9007199254740992 == long:decode(long:encode(2ULL ^ 53)))
    raises("takes a long (64 bits), got 9223372036854775808", long.encode, long, 2ULL ^ 63)
    raises("takes an int (32 bits), got 2147483648", avro.schema("int").encode, nil, 2 ^ 31)
  end)

  it("tide.avro names the field and the byte of what is no value of the schema", function()
    local order = avro.schema(ORDER)
    local bytes = order:encode { id = 7, note = "n", lines = { { price = 1.5, state = "PAID" } }, raw = "abc" }
    assert.same({ id = 7, note = "n", state = "NEW", raw = "abc",
      lines = tide.array { { price = 1.5, state = "PAID" } }, part_of = tide.null }, order:decode(bytes))
    for size = 0, #bytes - 1 do refused("the bytes end early", order:decode(bytes:sub(1, size))) end
    refused("avro: shop.Order.raw: the bytes end early, at byte 8", order:decode(bytes:sub(1, 8)))
    refused(("avro: more bytes behind the value, from byte %d on"):format(#bytes), order:decode(bytes .. "\0"))
    refused("avro: shop.Order.note: the union has no branch 2, at byte 1", order:decode "\14\4")
    refused("shop.Order.note: a string is not UTF-8, at byte 3", order:decode "\14\2\4\255\254\0\0\0\0")
    refused("an integer of more than 64 bits", order:decode(("\255"):rep(12)))
    refused("a boolean is 0 or 1", avro.schema "boolean":decode "\2")
    refused("an int of more than 32 bits", avro.schema "int":decode "\254\255\255\255\31")
    refused("a length below 0", avro.schema "bytes":decode "\1")
    refused('a map has the key "a" twice', avro.schema '{"type":"map","values":"int"}':decode "\4\2a\2\2a\2\0")
    refused("more than 65536 elements or records without bytes",
      avro.schema '{"type":"array","items":"null"}':decode "\254\255\255\255\255\255\255\1\0")
    refused("nested deeper than 100", order:decode(("\14\0\0\0\0\2"):rep(200)))
  end)

  it("tide.avro names the field of what it cannot write", function()
    local order = avro.schema(ORDER)
    for reason, value in pairs {
      ["shop.Order.id takes a long (64 bits), got 1.5"] = { id = 1.5 },
      ["shop.Order.id has no value, and no default"] = {},
      ["shop.Order has no field nots"] = { id = 1, nots = "x" },
      ['shop.Order.state takes a symbol of its enum, got "new"'] = { id = 1, state = "new" },
      ["shop.Order.lines takes an array with the keys 1 to n"] = { id = 1, lines = { [2] = {} } },
      ["shop.Line.price takes a number, got null"] = { id = 1, lines = { { price = tide.null, state = "NEW" } } },
      ["shop.Order.note takes a string in UTF-8"] = { id = 1, note = "\255" },
    } do raises(reason, order.encode, order, value) end
    local circle = { id = 1 }
    circle.part_of = circle
    raises("nested deeper than 100", order.encode, order, circle)
    assert.equal(order:encode { id = 1 }, order:encode { id = 1, raw = "\255\1", state = "NEW", lines = {},
      part_of = tide.null })
    raises("takes 3 bytes, got 2", avro.schema('{"type":"fixed","name":"F","size":3}').encode, nil, "ab")
  end)

  it("tide.avro writes a union's value as the one branch that takes it, and asks where there are several", function()
    local union = '["int", "long", "double", "string", "bytes", { "type": "record", "name": "A", "fields": '
      .. '[{ "name": "x", "type": "int" }] }, { "type": "record", "name": "B", "fields": '
      .. '[{ "name": "x", "type": "string" }]}]'
    local plain, tagged = avro.schema(union), avro.schema(union, { tagged = true })
    assert.equal("\0\10", plain:encode(5))
    assert.equal(2, plain:encode(2 ^ 40):byte())
    assert.equal(4, plain:encode(0.5):byte())
    assert.equal("\10\2", plain:encode { x = 1 })
    assert.equal("\12\2a", plain:encode { x = "a" })
    assert.equal("\8\2\255", plain:encode "\255")
    raises("may be string, bytes: name one, with tagged = true", plain.encode, plain, "a")
    raises("takes one of int, long, double, string, bytes, A, B, got a table", plain.encode, plain, { y = 1 })
    assert.equal("\8\2a", tagged:encode { bytes = "a" })
    assert.same({ A = { x = 1 } }, tagged:decode "\10\2")
    raises("takes one of int, long, double, string, bytes, A, B", tagged.encode, tagged, { C = 1 })
  end)

  it("tide.avro tells what is wrong with a schema", function()
    for text, reason in pairs {
      ["{"] = "the schema is not JSON", ['"strin"'] = 'there is no type "strin"', ["[]"] = "a union has no types",
      ['["int","int"]'] = 'a union has "int" twice', ['[["int"]]'] = "a union stands right inside of a union",
      ['{"type":"record","name":"R"}'] = "R: a record has an array of fields",
      ['{"type":"record","name":"R","fields":[{"name":"a"}]}'] = 'R: the field "a" has no type',
      ['{"type":"record","name":"R","fields":[{"name":"a","type":"R"}]}'] = "R holds itself without an end",
      ['{"type":"enum","name":"E","symbols":["a","a"]}'] = 'E has the symbol "a" twice',
      ['{"type":"fixed","name":"1","size":1}'] = '"1" is no name of a type',
      ['{"type":"fixed","name":"F","size":-1}'] = "F: a fixed has a size", ["17"] = "a number is no type",
      ['{"type":"array"}'] = "an array has no items",
      ['[{"type":"fixed","name":"a.F","size":1},{"type":"fixed","name":"F","namespace":"a","size":1}]'] =
        'the type "a.F" is declared twice',
    } do raises(reason, avro.schema, text) end
    raises("tide.avro.load: spec/unit/lua/lib/none.avsc", function() return (avro.load "none.avsc") end)
  end)

  it("tide.avro makes Lua's own NaN of each", function()
    local list = avro.schema '{"type":"array","items":["double","float"]}':decode("\4\0"
      .. "\1\0\0\0\0\0\251\255" .. "\2\1\0\210\255" .. "\0")
    assert.equal(2, #list)
    for i = 1, 2 do assert.is_true(type(list[i]) == "number" and list[i] ~= list[i]) end
  end)

  it("tide.avro takes Confluent's wire format off and puts it on", function()
    assert.equal("\0\0\0\1\0abc", avro.wrap(256, "abc"))
    assert.same({ 256, "abc" }, { avro.unwrap "\0\0\0\1\0abc" })
    assert.same({ 2 ^ 32 - 1, "" }, { avro.unwrap(avro.wrap(2 ^ 32 - 1, "")) })
    refused("the first byte is 123", avro.unwrap '{"a":1}')
    refused("4 bytes", avro.unwrap "\0\0\0\1")
  end)

  it("tide.avro keeps all digits of a decimal", function()
    assert.equal("-12.34", avro.decimal("\251\46", 2))
    assert.equal("\251\46", avro.decimal_bytes("-12.34", 2))
    assert.equal("\0\0\0\1", avro.decimal_bytes("0.1", 1, 4))
    assert.equal("\0", avro.decimal_bytes("-0", 0))
    for _ = 1, 500 do
      local digits, scale = { tostring(draw(9)) }, draw(0, 20)
      for i = 2, draw(40) do digits[i] = tostring(draw(0, 9)) end
      local whole = table.concat(digits)
      local text = (draw(2) == 1 and "-" or "") .. whole
      if scale > 0 then
        for i = 1, scale do digits[i] = tostring(draw(0, 9)) end
        text = text .. "." .. table.concat(digits, "", 1, scale)
      end
      local bytes = avro.decimal_bytes(text, scale)
      assert.equal(text, avro.decimal(bytes, scale))
      assert.equal(text, avro.decimal(avro.decimal_bytes(text, scale, 40), scale))
    end
    refused("more than 1 digits behind the point", avro.decimal_bytes("0.12", 1))
    refused("no decimal number", avro.decimal_bytes("1e5", 1))
    refused("more than 1 bytes", avro.decimal_bytes("128", 0, 1))
  end)
end)

-- ---- random schemas, with a value for each ----

local names

local function name()
  names = names + 1
  return "n" .. names
end

local PRIMITIVE = {
  boolean = function() return draw(2) == 1 end,
  int = function() return draw(2) == 1 and draw(-100, 100) or draw(-2 ^ 31, 2 ^ 31 - 1) end,
  long = function() return draw(2) == 1 and draw(-100, 100) or 0x123456789ABCDEFLL * draw(-50, 50) end,
  float = function() return draw(-1000, 1000) / 8 end,
  double = function() return draw() * 10 ^ draw(-9, 9) end,
  string = function() return pick { "", "a", "gr\195\188n", ("x"):rep(draw(300)), "\226\130\172" } end,
}
local KINDS = { "boolean", "int", "long", "float", "double", "string" }

local any -- a schema as a table for JSON, and a function that draws a value of it, its unions tagged

local complex = {
  function(depth)
    local items, value = any(depth)
    return { type = "array", items = items }, function()
      local list = tide.array {}
      for i = 1, draw(0, 4) do list[i] = value() end
      return list
    end
  end,
  function(depth)
    local values, value = any(depth)
    return { type = "map", values = values }, function()
      local map = {}
      if draw(3) > 1 then map["k" .. draw(9)] = value() end -- libavro has an order of keys, Lua has none
      return map
    end
  end,
  function(depth)
    local record, value_of = { type = "record", name = name(), fields = tide.array {} }, {}
    for i = 1, draw(1, 5) do
      local field = { name = name() }
      field.type, value_of[field.name] = any(depth)
      record.fields[i] = field
    end
    return record, function()
      local value = {}
      for key, one in pairs(value_of) do value[key] = one() end
      return value
    end
  end,
  function()
    local symbols = tide.array {}
    for i = 1, draw(4) do symbols[i] = name() end
    return { type = "enum", name = name(), symbols = symbols }, function() return pick(symbols) end
  end,
  function()
    local kind = pick(KINDS)
    return tide.array { "null", kind }, function()
      return draw(2) == 1 and tide.null or { [kind] = PRIMITIVE[kind]() }
    end
  end,
}

function any(depth)
  if depth == 0 or draw(3) == 1 then
    local kind = pick(KINDS)
    return kind, PRIMITIVE[kind]
  end
  return pick(complex)(depth - 1)
end

local function drawn()
  names = 0
  local schema, value = any(4)
  return tide.json.encode(schema), value()
end

describe("tide.avro beside libavro", function()
  it("tide.avro writes what libavro reads, and reads it as libavro does", function()
    for _ = 1, 400 do
      local text, value = drawn()
      local schema = avro.schema(text, { tagged = true })
      local bytes = schema:encode(value)
      local again, json = libavro.read(text, bytes, true)
      assert.equal(bytes, again, text)
      local ours, reason = schema:decode(bytes)
      assert.is_nil(reason)
      local both = tide.json.encode { ours }
      assert.equal(tide.json.encode { value }, both)
      assert.equal(tide.json.encode(tide.json.table("[" .. json .. "]")), both, text)
    end
  end)

  it("tide.avro answers broken bytes with a reason, or with a value that libavro reads too", function()
    local values, reasons = 0, 0
    for _ = 1, 300 do
      local text, value = drawn()
      local schema = avro.schema(text, { tagged = true })
      local bytes = schema:encode(value)
      for _ = 1, 20 do
        local at = draw(0, #bytes)
        local broken = bytes:sub(1, at) .. string.char(draw(0, 255)) .. bytes:sub(at + draw(0, 2) + 1)
        local got, reason = schema:decode(broken)
        if got == nil then
          reasons = reasons + 1
          assert.matches("^avro: .*%d$", (reason:gsub(" on$", "")))
        else
          values = values + 1
          libavro.read(text, broken)
          assert.is_string(schema:encode(got))
        end
      end
    end
    assert.is_true(values > 100 and reasons > 100, values .. " values, " .. reasons .. " reasons")
  end)
end)
