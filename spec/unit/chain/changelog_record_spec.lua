-- SPDX-License-Identifier: MIT
-- The bytes of a record of a changelog: engine/chain/changelog_record.h.
local bit = require "bit"
local ffi = require "ffi"
local C = require("spec.support.headers").declare("base/text.h", "store/store.h", "chain/changelog_record.h")
local seed = require "spec.support.seed"

local text, room = ffi.new "struct tide_text", ffi.new "struct tide_text"

local function write(kind, bytes, expires, offset)
  local value = ffi.new("struct tide_store_value", { expires or 0, kind, #bytes, bytes })
  C.tide_changelog_write(text, value, offset or 7)
  return ffi.string(text.data, text.length)
end

local function number(value)
  return ffi.string(ffi.new("double[1]", value), 8)
end

-- The kind, bytes, expiry and offset; nil when it is malformed.
local function parse(bytes)
  local value, offset = ffi.new "struct tide_store_value[1]", ffi.new "int64_t[1]"
  if not C.tide_changelog_parse(bytes, #bytes, value, offset, room) then return nil end
  return value[0].kind, ffi.string(value[0].bytes, value[0].length), tonumber(value[0].expires_ms), tonumber(offset[0])
end

describe("a record of a changelog", function()
  it("is a line of text and the value, as the header has it", function()
    assert.equal("number 0 812345\n42", write(C.TIDE_STATE_NUMBER, number(42), 0, 812345))
    assert.equal("string 1764275400000 0\na\0b\n", write(C.TIDE_STATE_STRING, "a\0b\n", 1764275400000, 0))
    assert.equal('json 0 7\n{"a":1}', write(C.TIDE_STATE_JSON, '{"a":1}'))
    assert.equal("number 0 7\n-3", write(C.TIDE_STATE_NUMBER, number(-3)))
    assert.equal("number 0 7\n-0", write(C.TIDE_STATE_NUMBER, number(-0.0)))
    assert.equal("number 0 7\n0.10000000000000001", write(C.TIDE_STATE_NUMBER, number(0.1)))
  end)

  it("is read back as it was written, every double too", function()
    seed.draw()
    local random = math.random
    for _ = 1, 20000 do
      local bits = ffi.new("uint32_t[2]", random(0, 2 ^ 32 - 1), random(0, 2 ^ 32 - 1))
      local bytes = ffi.string(bits, 8)
      -- JSON has no NaN; LuaJIT takes some for other values when they are read as numbers, so the bits are asked.
      if bit.band(bits[1], 0x7ff00000) ~= 0x7ff00000 then
        assert.same({ C.TIDE_STATE_NUMBER, bytes, 5, 9 }, { parse(write(C.TIDE_STATE_NUMBER, bytes, 5, 9)) })
      end
      local whole = number(random(-2 ^ 53, 2 ^ 53))
      assert.same({ C.TIDE_STATE_NUMBER, whole, 0, 7 }, { parse(write(C.TIDE_STATE_NUMBER, whole)) })
    end
    assert.same({ C.TIDE_STATE_STRING, "", 0, 7 }, { parse(write(C.TIDE_STATE_STRING, "")) })
    local far = 2 ^ 52
    assert.same({ C.TIDE_STATE_JSON, "[1]", far, far }, { parse(write(C.TIDE_STATE_JSON, "[1]", far, far)) })
  end)

  it("is read back with any time that a worker may have left as a timer", function()
    for _, time in ipairs { -2 ^ 63, -1, 0, 2 ^ 62 } do
      local timed = ffi.string(ffi.new("int64_t[1]", time), 8) .. "x"
      local kind = tonumber(C.TIDE_STATE_STRING) + C.TIDE_STATE_TIMED
      assert.same({ kind, timed, 0, 7 }, { parse(write(kind, timed)) })
    end
  end)

  it("has the timer of its key", function()
    local timer = ffi.string(ffi.new("int64_t[1]", -5), 8)
    for _, one in ipairs { { C.TIDE_STATE_NUMBER, number(42), "number 0 7 -5\n42" },
      { C.TIDE_STATE_NONE, "", "none 0 7 -5\n" }, { C.TIDE_STATE_JSON, "[1]", "json 0 7 -5\n[1]" } } do
      local kind = tonumber(one[1]) + C.TIDE_STATE_TIMED
      assert.equal(one[3], write(kind, timer .. one[2]))
      assert.same({ kind, timer .. one[2], 0, 7 }, { parse(one[3]) })
    end
  end)

  it("is refused when it is cut off or of another format, at each of its bytes", function()
    for _, bad in ipairs { "", "x", "number", "number 0", "number 0 7", "number  7\n1", "number 0 7\n",
      "number 0 7\n1x", "number 0 7\n" .. ("1"):rep(60), "number -1 7\n1", "blob 0 7\n1",
      "none 0 7\n", "none 0 7 5\nx", "json 0 7 \n1",
      "json 99999999999999999999 7\n1", "string 0 7 \nx" } do
      assert.is_nil(parse(bad), bad)
    end
  end)
end)
