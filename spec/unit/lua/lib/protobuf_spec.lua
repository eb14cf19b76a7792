-- SPDX-License-Identifier: MIT
-- tide.protobuf held against protoc: what one writes the other reads; and what is refused.
local installed = require "spec.support.installed"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local refusals = require "spec.support.refusals"
local seed = require "spec.support.seed"
local tide = require "tidemill"
local refused, raises = refusals.refused, refusals.raises

seed.draw()

local protobuf, draw = tide.protobuf, math.random

local PROTO = [[
syntax = "proto3";
package shop;
message Stamp { int64 seconds = 1; int32 nanos = 2; }
message Order {
  int64 id = 1; string user = 2; repeated Line lines = 3; map<string, sint64> tags = 4; State state = 5;
  oneof pay { string card = 6; Line cash = 7; }
  optional int32 n = 8; repeated sint32 nums = 9; Stamp at = 10; bytes raw = 11; double d = 12; fixed64 f = 13;
  Order part_of = 14; repeated State states = 15; repeated double doubles = 16; bool yes = 17; uint32 u = 18;
  sfixed32 s = 19; sfixed64 t = 20; fixed32 v = 21; float w = 22; uint64 x = 2000; repeated string names = 23;
  enum State { NEW = 0; PAID = 1; LOST = -1; }
  message Inner { bool a = 1; }
}
message Line { float price = 1; uint64 count = 2; map<int64, Line> m = 3; map<bool, string> b = 4; Order.Inner in = 5; }
]]
local OLD = [[
syntax = "proto2";
package old;
message R { required int32 id = 1; optional string text = 2 [default = "x"]; repeated int32 plain = 3;
  repeated int32 packed = 4 [packed = true]; optional group G = 5 { optional int32 g = 6; } extensions 100 to 200; }
message P { required int32 id = 1; optional string text = 2 [default = "x"]; repeated int32 plain = 3;
  repeated int32 packed = 4 [packed = true]; map<string, int32> m = 5; }
]]

local folder, serial

-- Runs protoc with bytes as its input: its output.
local function protoc(file, what, bytes)
  serial = serial + 1
  local path = ("%s/input%d"):format(folder, serial)
  local input = assert(io.open(path, "wb"))
  input:write(bytes)
  input:close()
  local code, out, err = process.run({ "sh", "-c", ("exec %s %s %s <%s"):format(installed.protoc(), what, file, path) },
    { cwd = folder, env = { LD_PRELOAD = false } })
  assert(code == 0, err)
  return out
end

describe("tide.protobuf", function()
  local types, order, line

  setup(function()
    serial = 0
    local _
    _, folder = pipeline_file.write("", { ["shop.proto"] = PROTO, ["old.proto"] = OLD })
    for _, name in ipairs { "shop", "old" } do
      local code, _, err = process.run({ installed.protoc(), "--include_imports",
        "--descriptor_set_out=" .. name .. ".desc", name .. ".proto" }, { cwd = folder, env = { LD_PRELOAD = false } })
      assert(code == 0, err)
    end
    types = protobuf.load(folder .. "/shop.desc")
    order, line = types:message "shop.Order", types:message "shop.Line"
  end)
  teardown(pipeline_file.remove_all)

  it("tide.protobuf reads what protoc writes", function()
    local bytes = protoc("shop.proto", "--encode=shop.Order", [[id: -9223372036854775808 user: "gr\303\274n"
      lines { price: 1.5 count: 18446744073709551615 m { key: -3 value { price: 1 } } b { key: true value: "y" } }
      lines {}
      tags { key: "a" value: -7 } tags { key: "b" } state: LOST cash { count: 2 } n: 0 nums: [-1, 5, -2147483648]
      at { nanos: 6 } raw: "\377\000" d: 0.1 f: 18446744073709551615 part_of {} states: [PAID, NEW] doubles: [1.5, -0.5]
      yes: true u: 4294967295 s: -1 t: -9007199254740993 v: 4294967295 w: 0.5 x: 9007199254740992 names: "p"
      names: ""]])
    local value = assert(order:decode(bytes))
    local empty = { id = 0, user = "", lines = tide.array {}, tags = {}, state = "NEW", nums = tide.array {}, raw = "",
      d = 0, f = 0, states = tide.array {}, doubles = tide.array {}, yes = false, u = 0, s = 0, t = 0, v = 0, w = 0,
      x = 0, names = tide.array {} }
    local none = { price = 0, count = 0, m = {}, b = {} }
    assert.same({ id = -9223372036854775807LL - 1, user = "gr\195\188n", lines = tide.array { { price = 1.5,
      count = 18446744073709551615ULL, m = { ["-3"] = { price = 1, count = 0, m = {}, b = {} } },
      b = { ["true"] = "y" } },
      none }, tags = { a = -7, b = 0 }, state = "LOST", cash = { price = 0, count = 2, m = {}, b = {} }, n = 0,
      nums = tide.array { -1, 5, -2147483648 }, at = { seconds = 0, nanos = 6 }, raw = "\255\0", d = 0.1,
      f = 18446744073709551615ULL, part_of = empty, states = tide.array { "PAID", "NEW" }, yes = true,
      doubles = tide.array { 1.5, -0.5 }, u = 4294967295, s = -1, t = -9007199254740993LL, v = 4294967295, w = 0.5,
      x = 2 ^ 53, names = tide.array { "p", "" } }, value)
    value.tags.b = nil -- the order of keys is nobody's
    assert.equal(protoc("shop.proto", "--decode=shop.Order", bytes):gsub('tags {%s+key: "b"%s+value: 0%s+}%s+', ""),
      (protoc("shop.proto", "--decode=shop.Order", order:encode(value))))
    assert.same(empty, order:decode "")
    assert.equal("", order:encode(empty))
  end)

  it("tide.protobuf knows the types that come with protoc where the descriptors leave them out", function()
    local known = [[syntax = "proto3"; package google.protobuf;
      message Timestamp { int64 seconds = 1; int32 nanos = 2; }]]
    local _, own = pipeline_file.write("", { ["timestamp.proto"] = known, ["ev.proto"] = [[syntax = "proto3";
      import "google/protobuf/timestamp.proto"; message Ev { google.protobuf.Timestamp at = 1; }]] })
    local code, out, err = process.run({ "sh", "-c", ([[
      mkdir -p google/protobuf && mv timestamp.proto google/protobuf && %s --descriptor_set_out=ev.desc ev.proto &&
      echo 'at { seconds: 7 nanos: 9 }' | %s --encode=Ev ev.proto]]):format(installed.protoc(), installed.protoc()) },
      { cwd = own, env = { LD_PRELOAD = false } })
    assert.equal(0, code, err)
    local set = protobuf.load(own .. "/ev.desc")
    assert.same({ at = { seconds = 7, nanos = 9 } }, set:message "Ev":decode(out))
    assert.equal(out, set:message "Ev":encode { at = { seconds = 7, nanos = 9 } })
    local value = set:message "google.protobuf.Struct"
    local fields = { a = { number_value = 1.5 }, b = { list_value = { values = tide.array { { bool_value = true } } } },
      c = { null_value = "NULL_VALUE" } }
    assert.same({ fields = fields }, value:decode(value:encode { fields = fields }))
  end)

  it("tide.protobuf writes random values that protoc reads as they were", function()
    local function bits()
      return (draw(0, 2 ^ 31) * 2LL ^ 32 + draw(0, 2 ^ 31)) / 2LL ^ draw(0, 62) * (draw(2) * 2 - 3)
    end
    local function number(value) return value >= -2 ^ 53 and value <= 2 ^ 53 and tonumber(value) or value end
    local lines, texts = {}, {}
    for i = 1, 300 do
      local id, count, d = number(bits()), number(bits()), draw() * 10 ^ draw(-9, 9)
      local value = { id = id, u = draw(0, 2 ^ 32 - 1), s = draw(-2 ^ 31, 2 ^ 31 - 1), d = d, tags = { k = count },
        nums = { draw(-2 ^ 31, 2 ^ 31 - 1) }, t = count, state = draw(2) == 1 and "PAID" or "LOST" }
      local bytes = order:encode(value)
      local again = assert(order:decode(bytes))
      for name, one in pairs(value) do
        if type(one) ~= "table" then assert.is_true(again[name] == one, name) end
      end
      assert.is_true(again.tags.k == count and again.nums[1] == value.nums[1])
      assert.equal(bytes, order:encode(again))
      lines[i], texts[i] = { part_of = value }, tostring(tide.json.text(id))
    end
    -- All of them in one message, as a start of protoc for each takes long.
    local chain = ""
    for i = 1, 60 do chain = chain .. order:encode { lines = { { count = i, price = i / 4 } } } end
    local out, count = protoc("shop.proto", "--decode=shop.Order", chain), 0
    for i in out:gmatch "count: (%d+)" do
      count = count + 1
      assert.equal(count, tonumber(i))
    end
    assert.equal(60, count)
    for i = 1, 20 do
      local id = protoc("shop.proto", "--decode=shop.Order", order:encode(lines[i])):match "id: (%S+)"
      assert.equal(texts[i], id or "0")
    end
  end)

  it("tide.protobuf merges a message that is there twice, and keeps the last member of a oneof", function()
    local one, other = order:encode { at = { seconds = 1 }, card = "x", id = 1 }, order:encode { at = { nanos = 2 },
      cash = { count = 3 }, id = 2 }
    local value = order:decode(one .. other)
    assert.same({ { seconds = 1, nanos = 2 }, 2, 3 }, { value.at, value.id, value.cash.count })
    assert.is_nil(value.card)
    assert.equal("x", order:decode(other .. one).card)
    assert.same({ -1, 7 }, order:decode(order:encode { nums = { -1 } } .. "\72\14").nums) -- packed, then one alone
  end)

  it("tide.protobuf skips what is not known, with its groups", function()
    assert.equal(7, order:decode("\8\7" .. "\162\6\3abc" .. "\163\6\8\1\164\6" .. "\173\6abcd" .. "\169\6abcdefgh").id)
    assert.equal("LOST", order:decode "\40\255\255\255\255\255\255\255\255\255\1".state)
    assert.equal(9, order:decode "\40\9".state)
  end)

  it("tide.protobuf names the field and the byte of what is no message", function()
    local bytes = order:encode { id = 300, user = "ann", lines = { { price = 1 } }, tags = { a = 1 } }
    for size = 0, #bytes do
      local value, problem = order:decode(bytes:sub(1, size))
      assert.is_true(value ~= nil or problem:find "^protobuf: .*at byte %d+$" ~= nil, problem)
    end
    refused("protobuf: shop.Order.user: the bytes end early, at byte 7", order:decode(bytes:sub(1, 7)))
    refused("shop.Order.user: a string is not UTF-8, at byte 2", order:decode "\18\1\255")
    refused("no tag of a field, at byte 0", order:decode "\7")
    refused("a field of the wire type 4", order:decode "\12")
    refused("a field of the wire type 6", order:decode "\14")
    refused("an integer of more than 64 bits", order:decode("\8" .. ("\255"):rep(11)))
    local deep = ""
    for _ = 1, 200 do deep = "\114" .. (#deep < 128 and string.char(#deep)
      or string.char(#deep % 128 + 128, math.floor(#deep / 128))) .. deep end
    refused("nested deeper than 100", order:decode(deep))
    refused("nested deeper than 100", order:decode(("\163\6"):rep(200)))
  end)

  it("tide.protobuf names the field of what it cannot write", function()
    for reason, value in pairs {
      ["shop.Order.id takes an int64, got 1.5"] = { id = 1.5 }, ["shop.Order.u takes a uint32, got -1"] = { u = -1 },
      ["shop.Order.s takes a sfixed32, got 2147483648"] = { s = 2 ^ 31 }, ["shop.Order has no field ids"] = { ids = 1 },
      ["shop.Order.user takes a string in UTF-8"] = { user = "\255" },
      ['shop.Order.state takes a name of its enum, or a number, got "new"'] = { state = "new" },
      ["shop.Order.card and cash are both there, of the oneof pay"] = { card = "x", cash = {} },
      ["shop.Line.m takes keys of the kind int64"] = { lines = { { m = { x = {} } } } },
      ["shop.Order.nums takes an array with the keys 1 to n"] = { nums = { [2] = 1 } },
    } do raises(reason, function() return (order:encode(value)) end) end
    local circle = {}
    circle.part_of = circle
    raises("nested deeper than 100", function() return (order:encode(circle)) end)
    raises('there is no message "shop.None"', function() return (types:message "shop.None") end)
    raises("no set of descriptors", function() return (protobuf.types "\255") end)
  end)

  it("tide.protobuf keeps the rules of proto2, and refuses groups by name", function()
    local set = protobuf.load(folder .. "/old.desc")
    raises("old.R.g is of the type group, which is not supported", function() return (set:message "old.R") end)
    local old = set:message "old.P"
    local bytes = old:encode { id = 0, plain = { 1, 2 }, packed = { 1, 2 } }
    assert.equal("\8\0\24\1\24\2\34\2\1\2", bytes)
    assert.same({ id = 0, plain = { 1, 2 }, packed = { 1, 2 }, m = {} }, old:decode(bytes))
    assert.same({ [""] = 0, a = 5 }, old:decode(bytes .. "\42\0\42\5\10\1a\16\5").m)
    assert.equal(bytes, protoc("old.proto", "--encode=old.P", "id: 0 plain: 1 plain: 2 packed: 1 packed: 2"))
    refused("the required field old.P.id is not there", old:decode "\18\1x")
    raises("old.P.id is required, and not there", function() return (old:encode { text = "x" }) end)
  end)

  it("tide.protobuf takes names of descriptors as names, whatever they are", function()
    local function piece(number, text) return string.char(number * 8 + 2, #text) .. text end
    local evil = "x\"') error'] \\\n%s"
    local function field(name, number)
      return piece(2, piece(1, name) .. string.char(24, number, 32, 1, 40, 9, 72, 0))
    end
    local set = protobuf.types(piece(1, piece(1, "f") .. piece(4, piece(1, evil) .. field(evil, 1) .. field("y", 2)
      .. piece(8, piece(1, evil))) .. piece(12, "proto3")))
    local odd = set:message(evil)
    assert.same({ [evil] = "v" }, odd:decode(odd:encode { [evil] = "v" }))
    raises("are both there, of the oneof " .. evil, function() return (odd:encode { [evil] = "v", y = "w" }) end)
    raises("takes a string, got 7", function() return (odd:encode { [evil] = 7 }) end)
  end)

  it("tide.protobuf takes Confluent's wire format off and puts it on", function()
    assert.equal("\0\0\0\0\7\0x", protobuf.wrap(7, { 0 }, "x"))
    assert.equal("\0\0\0\0\7\4\2\0x", protobuf.wrap(7, { 1, 0 }, "x"))
    assert.same({ 7, { 0 }, "x" }, { protobuf.unwrap "\0\0\0\0\7\0x" })
    assert.same({ 7, { 1, 0 }, "x" }, { protobuf.unwrap(protobuf.wrap(7, { 1, 0 }, "x")) })
    refused("the bytes end early", protobuf.unwrap "\0\0\0\0\7\4\2")
    refused("no count of message indexes", protobuf.unwrap "\0\0\0\0\7\1")
    assert.equal("shop.Order.Inner", types:at({ 1, 1 }).name)
    refused("there is no message with these indexes", types:at { 9 })
  end)

  it("tide.protobuf answers broken bytes with a reason or a value", function()
    local bytes = order:encode { id = 300, user = "ann", lines = { { price = 1, m = { ["5"] = {} } } },
      tags = { a = 1 }, nums = { 1, 2, 3 }, at = { nanos = 1 }, d = 0.5, f = 7, doubles = { 1, 2 } }
    local values = 0
    for _ = 1, 6000 do
      local at = draw(0, #bytes)
      local broken = bytes:sub(1, at) .. string.char(draw(0, 255)) .. bytes:sub(at + draw(0, 2) + 1)
      local value, problem = order:decode(broken)
      if value then
        values = values + 1
        order:encode(value)
      else
        assert.matches("^protobuf: .*at byte %d+$", problem)
      end
    end
    assert.is_true(values > 300)
    assert.is_table(line:decode "")
  end)
end)
