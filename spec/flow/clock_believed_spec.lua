-- SPDX-License-Identifier: MIT
-- What the time of day decides in a step with state, while the clock of the machine has jumped (tide_clock_day_ms).
local C, arm = require("spec.support.faults").use()
local flow = require "spec.support.flow"
local tide = require "tidemill"

describe("a clock that has jumped by a day", function()
  local fixture = flow.fixture()
  after_each(function() arm "" end)

  -- In the five minutes after a start it would be believed.
  local function begin(test)
    test:feed { key = "b", timestamp = 1 }
    test:advance("301s")
  end

  local function now() return tonumber(C.tide_clock_wall_ms()) end

  it("closes no window by clock_after for five minutes, and then it does", function()
    local test = fixture.steps(tide.window { size = "10min", grace = "1h", by = "key", time = "timestamp",
      clock_after = "10s", add = function(n) return (n or 0) + 1 end })
    begin(test)
    local as_it_is = now() -- read once: both messages are of one window
    test:feed { key = "a", timestamp = as_it_is }
    local before = #test:values()
    arm "clock.forward=1:bug"
    test:advance("11s")
    test:advance("200s")
    assert.equal(before, #test:values())
    test:feed { key = "a", timestamp = as_it_is }
    assert.same({}, test:rejects())
    test:advance("200s")
    assert.equal(before + 1, #test:values())
  end)

  -- It may be right: a machine that was paused, or a clock that was wrong before.
  it("has windows take what comes then, and does not move the watermark by it", function()
    local test = fixture.steps(tide.window { size = "10min", by = "key", time = "timestamp",
      add = function(n) return (n or 0) + 1 end })
    begin(test)
    test:feed { key = "a", timestamp = now() }
    local before = #test:values()
    arm "clock.forward=1:bug"
    test:feed { key = "a", timestamp = now() }
    assert.same({}, test:rejects())
    assert.equal(before, #test:values())
    test:advance("301s")
    test:feed { key = "a", timestamp = now() }
    assert.is_true(#test:values() > before)
  end)

  it("takes no state away by ttl", function()
    local test = fixture.steps(tide.keyed { function(message, state)
      state.value = (state.value or 0) + 1
      return ("%s %d"):format(message.key, state.value)
    end, state = "counts", ttl = "1h" })
    begin(test)
    test:feed({ key = "a" }, { key = "a" })
    arm "clock.forward=1:bug"
    test:feed { key = "a" }
    assert.same({ "b 1", "a 1", "a 2", "a 3" }, test:values())
  end)
end)
