-- SPDX-License-Identifier: MIT
-- kafka/headers.h: whether a record that was fetched has headers, by the bytes around its value.
local bit = require "bit"
local ffi = require "ffi"
local C = require("spec.support.headers").declare "kafka/headers.h"

-- Of each number of bytes that the length may take as a varint, the least and the greatest length.
local LENGTHS = { 1, 63, 64, 270, 8191, 8192, 65535, 1048575, 1048576 }

local function varint(number)
  local rest, bytes = number * 2, {}
  while rest >= 128 do
    bytes[#bytes + 1] = string.char(rest % 128 + 128)
    rest = math.floor(rest / 128)
  end
  return table.concat(bytes) .. string.char(rest)
end

local function int32(number)
  local bytes = {}
  for shift = 24, 0, -8 do bytes[#bytes + 1] = string.char(bit.band(bit.rshift(number, shift), 255)) end
  return table.concat(bytes)
end

local memory = ffi.new("char[?]", 2 ^ 21)

-- The answer for a value of this length with these bytes before and after it.
local function absent(before, length, after)
  local value = memory + 16
  ffi.copy(value - #before, before, #before)
  ffi.copy(value + length, after, #after)
  return C.tide_kafka_headers_absent(value, length)
end

describe("a record that was fetched", function()
  it("has no headers when the number after its value is 0", function()
    for _, length in ipairs(LENGTHS) do assert.is_true(absent("key" .. varint(length), length, "\0"), length) end
  end)

  it("may have headers when that number is another", function()
    for _, length in ipairs(LENGTHS) do
      for _, count in ipairs { 1, 2, 63, 64, 1000 } do
        assert.is_false(absent("key" .. varint(length), length, varint(count)), length)
      end
    end
  end)

  it("is not taken for one of format 2 when it is of format 0 or 1, whatever follows its value", function()
    for _, length in ipairs(LENGTHS) do assert.is_false(absent("key" .. int32(length), length, "\0"), length) end
    for length = 1, 70000, 7 do assert.is_false(absent(int32(length), length, "\0"), length) end
  end)

  it("is not looked into when its value is null or empty", function()
    assert.is_false(C.tide_kafka_headers_absent(nil, 0))
    assert.is_false(absent("key" .. varint(0), 0, "\0"))
  end)
end)
