-- SPDX-License-Identifier: MIT
-- cli/signals.lua: when a signal that asks for the end is to be obeyed.
local signals = require "tidemill.cli.signals"

describe("a signal that asks for the end", function()
  it("is due when all that came within a moment of it has been read", function()
    local stop = signals.stop()
    assert.same({}, { stop:due(100), stop:left(100) })
    stop:came(signals.TERM, 100)
    assert.is_nil(stop:due(99.9))
    assert.is_nil(stop:due(100.049))
    assert.equal(signals.TERM, stop:due(100.051))
  end)

  it("is the first of several, also in its time", function()
    local stop = signals.stop()
    stop:came(signals.INT, 100)
    stop:came(signals.TERM, 100.04)
    assert.equal(signals.INT, stop:due(100.051))
  end)

  it("tells how long it may still be followed", function()
    local stop = signals.stop()
    stop:came(signals.TERM, 100)
    assert.is_true(math.abs(stop:left(100.01) - 0.04) < 1e-9)
    assert.equal(0, stop:left(101))
  end)
end)
