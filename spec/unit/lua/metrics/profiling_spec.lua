-- SPDX-License-Identifier: MIT
-- The profile of a worker, step by step, on an engine and a clock that are played.
local profiling = require "tidemill.metrics.profiling"

local time, taken, forgotten

local engine = {
  profile_begin = function()
    local free = not taken
    taken = true
    return free
  end,
  profile_end = function() return true end,
  profile = function() return "ending" end,
  profile_forget = function() forgotten = forgotten + 1 end,
}

local function new()
  return profiling.new(engine, 0, 0, 5, function() return time end)
end

before_each(function()
  time, taken, forgotten = 0, false, 0
end)

describe("a profile of a worker", function()
  it("that never began leaves the profile of somebody else alone", function()
    local first, second = new(), new()
    assert.is_nil(first:turn())
    assert.is_nil(second:turn())
    time = 60
    local text, reason = second:turn()
    assert.is_false(text)
    assert.matches("somebody else profiles it", reason)
    assert.equal(0, forgotten)
  end)

  it("is forgotten once when it has ended or nobody wants it any more", function()
    local first = new()
    first:turn()
    first:forget()
    first:forget()
    assert.equal(1, forgotten)
  end)
end)
