-- SPDX-License-Identifier: MIT
-- Integers beyond 2^53 as they are handed out where there are no cdata (run/hardened.lua).
local integer = require "tidemill.run.integer"
local json = require "tidemill.run.json"
local hardened = require "tidemill.run.hardened"
local hash = require "tidemill.lib.hash"
local msgpack = require "tidemill.lib.msgpack"
local time = require "tidemill.lib.time"

describe("an integer without cdata", function()
  setup(function() hardened.switch(true) end)
  teardown(function() hardened.switch(false) end)

  local NUMBERS = { "9223372036854775807", "-9223372036854775808", "18446744073709551615", "123456789012345678901" }

  it("an integer without cdata is a table that keeps all digits through JSON", function()
    for _, digits in ipairs(NUMBERS) do
      local value = json.public.table("[" .. digits .. "]")[1]
      assert.equal("table", type(value))
      assert.equal(digits, tostring(value))
      assert.equal("n" .. digits, "n" .. value)
      assert.equal("[" .. digits .. "]", json.public.encode { value })
      assert.equal("number", json.public.type(value))
      assert.equal(digits, json.public.text(value))
    end
  end)

  it("an integer without cdata is what int64 and uint64 hold, and nothing else", function()
    assert.equal(9223372036854775807LL, integer.cdata(integer.given(9223372036854775807LL)))
    assert.equal(-9223372036854775807LL - 1, integer.cdata(json.public.table("[-9223372036854775808]")[1]))
    assert.equal(18446744073709551615ULL, integer.cdata(integer.given(18446744073709551615ULL)))
    assert.is_nil(integer.cdata(json.public.table("[18446744073709551616]")[1]))
    assert.is_nil(integer.cdata(json.public.table("[-9223372036854775809]")[1]))
    assert.is_nil(integer.cdata(5))
    assert.is_nil(integer.cdata {})
  end)

  it("an integer without cdata compares by its value, and calculates nothing", function()
    local one, other = json.public.table("[9223372036854775806]")[1], json.public.table("[9223372036854775807]")[1]
    assert.is_true(one < other and other > one and one <= other and one ~= other)
    assert.is_true(one == json.public.table("[9223372036854775806]")[1])
    assert.error_matches(function() return one + 1 end, "9223372036854775806 has more than 53 bits")
  end)

  it("an integer without cdata that a script has changed is none", function()
    local value = json.public.table("[9223372036854775806]")[1]
    value.digits = "1,2"
    assert.is_nil(integer.text(value))
    assert.error_matches(function() return json.public.encode { value } end, "no JSON")
  end)

  it("an integer without cdata goes through the library", function()
    local hashed = hash.xxhash64 "x"
    assert.equal("table", type(hashed))
    assert.matches("^%x+$", hash.hex(hashed))
    assert.equal(hash.xxhash64("x", hashed), hash.xxhash64("x", hashed))
    local ns = time.now "ns"
    assert.equal("table", type(ns))
    assert.equal(ns, time.convert(ns, "ns", "ns"))
    assert.equal("number", type(time.convert(ns, "ns", "ms")))
    for _, digits in ipairs { NUMBERS[1], NUMBERS[2], NUMBERS[3] } do
      local value = json.public.table("[" .. digits .. "]")[1]
      local decoded = msgpack.decode(msgpack.encode(value))
      assert.same({ "table", digits }, { type(decoded), tostring(decoded) })
    end
    local large = json.public.table("[" .. NUMBERS[4] .. "]")[1]
    assert.error_matches(function() msgpack.encode(large) end, "more than 64 bits")
  end)
end)
