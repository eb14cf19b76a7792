-- SPDX-License-Identifier: MIT
-- What the time of day decides in a step with state, while the clock of the machine has jumped (tide_clock_day_ms).
local C, arm = require("spec.support.faults").use()
local flow = require "spec.support.flow"
local tide = require "tidemill"

describe("a clock that has jumped by a day", function()
  local fixture = flow.fixture()
  after_each(function() arm "" end)

  local function now() return tonumber(C.tide_clock_wall_ms()) end

  it("closes no window by clock_after for five minutes, and then it does", function()
    local test = fixture.steps(tide.window { size = "10min", grace = "1h", by = "key", time = "timestamp",
      clock_after = "10s", add = function(n) return (n or 0) + 1 end })
    test:feed { key = "a", timestamp = now() }
    arm "clock.forward=1:bug"
    test:advance("11s")
    test:advance("200s")
    assert.same({}, test:values())
    test:feed { key = "a", timestamp = now() - 24 * 3600000 } -- which is the time as it is
    assert.same({}, test:rejects())
    test:advance("200s")
    assert.equal(1, #test:values())
  end)

  it("takes no state away by ttl", function()
    local test = fixture.steps(tide.keyed { function(message, state)
      state.value = (state.value or 0) + 1
      return ("%s %d"):format(message.key, state.value)
    end, state = "counts", ttl = "1h" })
    test:feed({ key = "a" }, { key = "a" })
    arm "clock.forward=1:bug"
    test:feed { key = "a" }
    assert.same({ "a 1", "a 2", "a 3" }, test:values())
  end)
end)
