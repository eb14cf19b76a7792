-- SPDX-License-Identifier: MIT
local meter = require "tidemill.tuning.meter"

describe("the meter", function()
  it("tells how long messages were on their way, from the look that read them to that of their end", function()
    local looks = { { time = 1, read = 10, complete = 0 }, { time = 2, read = 20, complete = 10 },
      { time = 3, read = 20, complete = 10 }, { time = 4, read = 20, complete = 20 },
      { time = 5, read = 20, complete = 20 }, { time = 6, read = 30, complete = 20 } }
    assert.same({ 1, 2 }, meter.latencies(looks))
  end)

  it("tells no time below nothing for what is complete when it is seen", function()
    assert.same({ 0 }, meter.latencies { { time = 1, read = 1, complete = 1 }, { time = 2, read = 1, complete = 1 } })
  end)
end)
