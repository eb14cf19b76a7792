-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local C = require("spec.support.headers").declare "base/grow.h"
ffi.cdef "void free(void *);"

local function new()
  local array = { items = ffi.new "int64_t *[1]", count = ffi.new "uint32_t[1]" }
  function array.grow(need) C.tide_grow(array.items, array.count, need, 8) end
  return array
end

describe("a growing array", function()
  it("a growing array holds as many items as were needed, zeroed, beside those that were there", function()
    local array = new()
    array.grow(3)
    assert.equal(3, array.count[0])
    for i = 0, 2 do array.items[0][i] = 10 + i end
    array.grow(1000)
    assert.equal(1000, array.count[0])
    for i = 0, 999 do assert.equal(i < 3 and 10 + i or 0, tonumber(array.items[0][i])) end
    ffi.C.free(array.items[0])
  end)

  it("a growing array stays as it is when it holds as many items already", function()
    local array = new()
    array.grow(0)
    assert.is_true(array.items[0] == nil)
    array.grow(5)
    local before = array.items[0]
    array.grow(2)
    assert.is_true(array.items[0] == before)
    assert.equal(5, array.count[0])
    ffi.C.free(before)
  end)
end)
