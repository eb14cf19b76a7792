-- SPDX-License-Identifier: MIT
local C = require("tidemill.run.ffi").C
local wait = require "spec.support.wait"

local function now()
  return tonumber(C.tide_clock_us())
end

describe("the clock", function()
  it("the clock counts microseconds of the monotonic clock", function()
    local before = wait.now()
    local clock = now() / 1e6
    local after = wait.now()
    assert.is_true(before - 0.001 <= clock and clock <= after + 0.001)
  end)

  it("the clock never goes back", function()
    local last = now()
    for _ = 1, 1000 do
      local next = now()
      assert.is_true(next >= last)
      last = next
    end
  end)

  it("the clock runs ahead by what it was advanced, and the wall clock does not", function()
    local from = wait.now()
    local before, wall = now(), tonumber(C.tide_clock_wall_ms())
    C.tide_clock_advance(3600e6)
    local after, wall_passed = now(), tonumber(C.tide_clock_wall_ms()) - wall
    C.tide_clock_advance(-3600e6)
    local passed = wait.now() - from
    -- Both times are cut off, to the microsecond and to the millisecond.
    assert.is_true(after - before >= 3600e6 and after - before < 3600e6 + passed * 1e6 + 1)
    assert.is_true(wall_passed < passed * 1e3 + 1)
  end)

  it("the clock tells the wall time in milliseconds since the epoch", function()
    local before = os.time()
    local wall = tonumber(C.tide_clock_wall_ms())
    -- Two seconds, not one: time(2) reads the clock of the last tick, which may still be in the second before.
    assert.is_true(wall >= before * 1000 and wall < (os.time() + 2) * 1000)
  end)
end)
