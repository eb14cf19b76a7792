-- SPDX-License-Identifier: MIT
-- What a few bytes, or a large schema, may ask of tide.avro and tide.protobuf: it is bounded, and told by name.
local descriptors = require "spec.support.descriptors"
local refusals = require "spec.support.refusals"
local tide = require "tidemill"
local refused, raises = refusals.refused, refusals.raises

-- `count` pieces, joined.
local function many(count, format, separator)
  local list = {}
  for i = 1, count do list[i] = format:gsub("#", tostring(i)) end
  return table.concat(list, separator or ",")
end

describe("tide.avro", function()
  it("tide.avro bounds what takes no bytes in a whole value, not in each array", function()
    local arrays = tide.avro.schema '{"type":"array","items":{"type":"array","items":"null"}}'
    local thousand = "\208\15" -- nulls
    assert.equal(60, #arrays:decode("\120" .. (thousand .. "\0"):rep(60) .. "\0"))
    refused("more than 65536 elements or records without bytes, at byte",
      arrays:decode("\140\1" .. (thousand .. "\0"):rep(70) .. "\0"))
    assert.equal(60, #arrays:decode("\120" .. (thousand .. "\0"):rep(60) .. "\0")) -- the next value begins anew
    local record = '{"type":"record","name":"A0","fields":[{"name":"x","type":"null"}]}'
    for i = 1, 20 do
      record = ('{"type":"record","name":"A%d","fields":[{"name":"a","type":%s},{"name":"b","type":"A%d"}]}'):format(i,
        record, i - 1)
    end
    refused("more than 65536 elements or records without bytes, at byte 0", tide.avro.schema(record):decode "")
  end)

  it("tide.avro takes a record of 5000 fields, and refuses a union that LuaJIT cannot compile", function()
    local wide = tide.avro.schema('{"type":"record","name":"R","fields":[' .. many(5000, '{"name":"f#","type":"int"}')
      .. "]}")
    local value = {}
    for i = 1, 5000 do value["f" .. i] = i end
    assert.same(value, wide:decode(wide:encode(value)))
    raises("tide.avro.schema: the schema: it is too large: control structure too long", tide.avro.schema,
      "[" .. many(3000, '{"type":"fixed","name":"f#","size":#}') .. "]")
  end)
end)

describe("tide.protobuf", function()
  local field, part = descriptors.field, descriptors.part
  -- A message R with int32 fields f1 to fN, all of one oneof.
  local function oneof_of(count)
    local fields = {}
    for i = 1, count do
      fields[i] = field("f" .. i, i, "int32", { oneof = 0 })
    end
    return tide.protobuf.types(descriptors.set(nil, { { "R", table.concat(fields) .. part(8, part(1, "kind")) } }))
  end

  it("tide.protobuf takes a oneof of 500 members, and refuses a message that LuaJIT cannot compile", function()
    local envelope = oneof_of(500):message "R"
    assert.same({ f500 = 7 }, envelope:decode(envelope:encode { f500 = 7 }))
    assert.same({ f2 = 0 }, envelope:decode(envelope:encode { f1 = 1 } .. envelope:encode { f2 = 0 }))
    raises("R.f1 and f500 are both there, of the oneof kind", envelope.encode, envelope, { f1 = 1, f500 = 7 })
    local large = oneof_of(3000)
    raises("types:message: protobuf: R: it is too large: control structure too long", large.message, large, "R")
  end)

  it("tide.protobuf tells what is wrong with descriptors that protoc did not write", function()
    local entry = part(3, part(1, "E") .. field("key", 1, "double") .. field("value", 2, "int32") .. part(7, "\56\1"))
    local map = field("m", 1, "message", { type = ".R.E", repeated = true })
    for reason, messages in pairs {
      ["a message has no name"] = { { "", "" } }, ["R is declared twice"] = { { "R", "" }, { "R", "" } },
      ["an enum has no name"] = { { "R", part(4, "") } },
      ["R.E has a value without a name"] = { { "R", part(4, part(1, "E") .. part(2, "\16\1")) } },
    } do
      raises("tide.protobuf.types: the descriptors: " .. reason, tide.protobuf.types, descriptors.set(nil, messages))
    end
    for reason, fields in pairs {
      ["R has a field without a name"] = part(2, "\24\1\32\1\40\5"), ["R.E is no entry of a map"] = map .. entry,
      ["R has the field a twice"] = field("a", 1, "int32") .. field("a", 2, "int32"),
    } do
      local types = tide.protobuf.types(descriptors.set(nil, { { "R", fields } }))
      raises(reason, types.message, types, "R")
    end
    refused("a message index below 0 or beyond 2^31", tide.protobuf.unwrap "\0\0\0\0\7\2\255\255\255\255\127")
  end)
end)
