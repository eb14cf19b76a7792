-- SPDX-License-Identifier: MIT
-- The time of day that decides something (tide_clock_day_ms): a clock that jumps is believed only after a while.
local C, arm = require("spec.support.faults").use()

local DAY_MS, PATIENCE_US = 86400000, 300e6

-- The first five minutes, in which any jump is believed, are over.
local function begin()
  C.tide_clock_day_ms()
  C.tide_clock_advance(PATIENCE_US)
  C.tide_clock_day_ms()
end

local function day() return tonumber(C.tide_clock_day_ms()) end
local function off() return tonumber(C.tide_clock_disbelief_ms()) end

local function near(expected, value)
  assert.is_true(math.abs(value - expected) < 10000, ("%.0f, not %.0f"):format(value, expected))
end

describe("the time of day", function()
  after_each(function() arm "" end)

  it("follows a clock that is put right just after the start", function()
    arm "clock.back=1:bug"
    near(os.time() * 1000 - DAY_MS, day())
    arm ""
    near(os.time() * 1000, day())
    assert.equal(0, off())
  end)

  it("is that of the wall clock, also after an hour in which nobody asked", function()
    near(os.time() * 1000, day())
    C.tide_clock_advance(3600e6)
    near(os.time() * 1000, day())
    assert.equal(0, off())
  end)

  it("is the wall clock's where a time that is too late would do harm, if that is ahead", function()
    begin()
    near(os.time() * 1000, tonumber(C.tide_clock_latest_ms()))
    arm "clock.forward=1:bug"
    near(os.time() * 1000 + DAY_MS, tonumber(C.tide_clock_latest_ms()))
    arm "clock.back=1:bug"
    near(os.time() * 1000, tonumber(C.tide_clock_latest_ms()))
  end)

  for way, sign in pairs { forward = 1, back = -1 } do
    it("goes on as before when the clock goes " .. way .. " by a day and is put right", function()
      begin()
      arm("clock." .. way .. "=1:bug")
      near(os.time() * 1000, day())
      near(sign * DAY_MS, off())
      C.tide_clock_advance(PATIENCE_US - 10e6)
      near(os.time() * 1000, day())
      arm ""
      near(os.time() * 1000, day())
      assert.equal(0, off())
    end)

    it("is the clock's again five minutes after it went " .. way, function()
      begin()
      arm("clock." .. way .. "=1:bug")
      day()
      C.tide_clock_advance(PATIENCE_US)
      near(os.time() * 1000 + sign * DAY_MS, day())
      assert.equal(0, off())
      arm ""
      near(os.time() * 1000 + sign * DAY_MS, day()) -- which is a jump, too
      C.tide_clock_advance(PATIENCE_US)
      near(os.time() * 1000, day())
    end)
  end
end)
