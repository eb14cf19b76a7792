-- SPDX-License-Identifier: MIT
-- engine/chain/gaps.h: positions at which there is no state to be stored.
local ffi = require "ffi"
local C = require("spec.support.headers").declare("chain/gaps.h")
local seed = require "spec.support.seed"

pcall(ffi.cdef, "void free(void *)")

describe("gaps", function()
  local gaps

  local function limit(position, index)
    return tonumber(C.tide_gaps_limit(gaps, index or 0, position))
  end

  before_each(function() gaps = ffi.new "struct tide_gaps" end)
  after_each(function() ffi.C.free(gaps.list) end)

  it("lowers a position between two changes that came in the wrong order", function()
    C.tide_gaps_add(gaps, 0, 10, 20)
    assert.same({ 9, 10, 10, 10, 21 }, { limit(9), limit(10), limit(11), limit(20), limit(21) })
    assert.equal(15, limit(15, 1))
  end)

  it("goes through gaps that follow each other to the beginning of the first", function()
    C.tide_gaps_add(gaps, 0, 30, 40)
    C.tide_gaps_add(gaps, 1, 1, 99)
    C.tide_gaps_add(gaps, 0, 10, 20)
    C.tide_gaps_add(gaps, 0, 18, 35)
    assert.same({ 10, 10, 41 }, { limit(33), limit(40), limit(41) })
    C.tide_gaps_pass(gaps, 0, 41)
    assert.same({ 33, 1 }, { limit(33), limit(33, 1) })
    C.tide_gaps_pass(gaps, 1, 9223372036854775807LL)
    assert.equal(0, gaps.count)
  end)

  it("has none that a model does not have", function()
    local drawn = seed.draw()
    for _ = 1, 200 do
      gaps.count = 0
      local list = {}
      for i = 1, math.random(6) do
        local low = math.random(40)
        list[i] = { low, low + math.random(10) }
        C.tide_gaps_add(gaps, 0, list[i][1], list[i][2])
      end
      for position = 1, 55 do
        local expected, again = position, true
        while again do
          again = false
          for _, gap in ipairs(list) do
            if gap[1] < expected and expected <= gap[2] then expected, again = gap[1], true end
          end
        end
        assert.equal(expected, limit(position), drawn)
      end
    end
  end)
end)
