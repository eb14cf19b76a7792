-- SPDX-License-Identifier: MIT
-- No wrong data in silence: what a codec cannot keep exactly is refused with its name (docs/codecs.md, "What is kept
-- exactly").
local descriptors = require "spec.support.descriptors"
local refusals = require "spec.support.refusals"
local tide = require "tidemill"
local refused, raises = refusals.refused, refusals.raises

local BEYOND = 2 ^ 53 * 1LL + 1 -- no double has it

describe("tide.protobuf", function()
  local field, entry = descriptors.field, descriptors.entry
  local message = tide.protobuf.types(descriptors.set(nil, { { "R", field("d", 1, "double") .. field("f", 2, "float")
    .. field("m", 3, "message", { type = ".R.MEntry", repeated = true })
    .. field("b", 4, "message", { type = ".R.FEntry", repeated = true })
    .. entry("MEntry", "int64", "int32") .. entry("FEntry", "bool", "int32") } })):message "R"

  it("tide.protobuf refuses an integer that a double or float does not hold, and a number beyond a float", function()
    for _, name in ipairs { "d", "f" } do
      for _, value in ipairs { BEYOND, -BEYOND, 18446744073709551615ULL } do
        raises(("R.%s takes a number, got %s"):format(name, (tostring(value):gsub("U?LL$", ""))), message.encode,
          message, { [name] = value })
      end
    end
    assert.equal(9007199254740994, message:decode(message:encode { d = 9007199254740994LL }).d)
    raises("R.f takes a number that a float holds, got", message.encode, message, { f = 1e39 })
    raises("R.f takes a number that a float holds, got", message.encode, message, { f = -1e300 })
    assert.equal(math.huge, message:decode(message:encode { f = math.huge }).f)
    assert.equal(1e39, message:decode(message:encode { d = 1e39 }).d)
  end)

  it("tide.protobuf refuses a key of a map that is there twice", function()
    for _, map in ipairs { { [1] = 1, ["1"] = 2 }, { ["01"] = 1, ["1"] = 2 }, { ["-0"] = 1, ["0"] = 2 },
      { [7] = 1, [7LL] = 2 } } do
      raises("R.m has the key ", message.encode, message, { m = map })
      raises(" twice", message.encode, message, { m = map })
    end
    raises("R.b has the key true twice", message.encode, message, { b = { [true] = 1, ["true"] = 2 } })
    assert.same({ ["1"] = 1, ["-1"] = 2, ["9223372036854775807"] = 3 },
      message:decode(message:encode { m = { [1] = 1, ["-1"] = 2, ["9223372036854775807"] = 3 } }).m)
  end)
end)

describe("tide.avro", function()
  it("tide.avro refuses a default of bytes whose characters are no bytes", function()
    local record = '{"type":"record","name":"R","fields":[{"name":"a","type":"bytes","default":"%s"}]}'
    local beyond = tide.avro.schema(record:format "\\u0100")
    raises('R.a has no value, and its default cannot be written: it takes bytes', beyond.encode, beyond, {})
    assert.equal("\6\255\1\0", tide.avro.schema(record:format "\\u00ff\\u0001\\u0000"):encode {})
  end)

  it("tide.avro refuses a decimal of no bytes", function()
    refused("a decimal of no bytes", tide.avro.decimal("", 2))
    assert.equal("0.00", tide.avro.decimal("\0", 2))
  end)
end)

describe("tide.msgpack", function()
  local msgpack = tide.msgpack

  it("tide.msgpack refuses to write keys that it does not read, and that may be there twice", function()
    raises("a key is a string, a number or a boolean, got 1", msgpack.encode, { [1LL] = 1, [1ULL] = 2 })
    raises("a key is a string, a number or a boolean, got a table", msgpack.encode, { [{}] = 1 })
    assert.same({ [1] = 1, [true] = 2, x = 3 }, msgpack.decode(msgpack.encode { [1] = 1, [true] = 2, x = 3 }))
  end)

  it("tide.msgpack refuses an extension type, bytes and integers that it cannot write", function()
    local ext, bin = msgpack.ext(5, "x"), msgpack.bin "x"
    ext.type, bin.bytes = 300, 7
    raises("the type of an ext is an integer from -128 to 127, got 300", msgpack.encode, ext)
    raises("bytes is a string, got 7", msgpack.encode, { bin })
    raises("the integer 123456789012345678901 has more than 64 bits", msgpack.encode,
      tide.json.table "[123456789012345678901]")
  end)
end)

describe("tide.csv", function()
  local csv = tide.csv

  it("tide.csv writes false as false", function()
    assert.equal("false,a", csv.encode_row { false, "a" })
    assert.equal("a,b\nfalse,1\n", csv.encode({ { a = false, b = 1 } }, { header = { "a", "b" } }))
  end)

  it("tide.csv keeps a byte order mark that a row begins with", function()
    assert.same({ "\239\187\191a", "b" }, csv.decode_row(csv.encode_row { "\239\187\191a", "b" }))
    raises("no quotes, and a field has a separator, an end of line or a byte order mark", csv.encode_row,
      { "\239\187\191a" }, { quote = false })
  end)

  it("tide.csv refuses a header that has a name twice, and rows that are no array", function()
    raises('the header has "a" twice', csv.decode_row, "1,2", { header = { "a", "a" } })
    raises('the header has "a" twice', csv.encode_row, { a = 1 }, { header = { "a", "a" } })
    raises("takes an array of rows; this has ", csv.encode, { { "a" }, x = { "b" } })
    raises("takes an array of rows; this has ", csv.encode, { { "a" }, nil, { "b" } })
    raises("takes an array of rows; this is ", csv.encode, "a")
  end)
end)

describe("tide.url", function()
  it("tide.url refuses a list of values with gaps or names, which would be left out", function()
    raises("the values of a are a list; this has ", tide.url.build_query, { a = { x = 1 } })
    raises("the values of a are a list; this has ", tide.url.build_query, { a = { 1, nil, 3 } })
    assert.equal("a=1&a=3", tide.url.build_query { a = { 1, 3 } })
    assert.equal("", tide.url.build_query { a = {} })
  end)
end)

describe("tide.time", function()
  local time = tide.time

  it("tide.time.strptime goes on counting from a negative %s", function()
    assert.equal(-1500, time.strptime("-1.500", "%s.%L"))
    assert.equal(-500, time.strptime("-0.500", "%s.%L"))
    assert.equal(-1000000001LL, time.strptime("-1.000000001", "%s.%N", "ns"))
    assert.equal(1500, time.strptime("1.500", "%s.%L"))
  end)

  it("tide.time.strptime refuses a format of which it would leave out something", function()
    raises("%s stands beside no other letter than a fraction and a zone", time.strptime, "2020-01-01 5", "%F %s")
    assert.equal(1577836800000, time.strptime("1577836800 +0100", "%s %z"))
  end)

  it("tide.time refuses moments that a number would round", function()
    refused("beyond what a number holds exactly in ms", time.strptime("999999999999999", "%s"))
    assert.equal(999999999999999, time.strptime("999999999999999", "%s", "s"))
    raises("beyond what a number holds exactly in ms", time.convert, 9007199254740993000LL, "us", "ms")
    assert.equal(2 ^ 53, time.convert(2 ^ 53 * 1000LL, "us", "ms"))
  end)
end)

describe("tide.grok", function()
  it("tide.grok refuses two values of one field", function()
    refused('grok: x is there twice: "1" and "2"', tide.grok.match("1 2", "%{INT:x} %{INT:x}"))
    assert.same({ x = 1 }, tide.grok.match("1 1", "%{INT:x:int} %{INT:x:int}"))
    assert.same({ x = "2" }, tide.grok.match("b 2", "a %{INT:x}|b %{INT:x}"))
  end)
end)
