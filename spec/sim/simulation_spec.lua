-- SPDX-License-Identifier: MIT
-- Runs whole engines, with everything around them simulated (scripts/sim/sim.h): 10^6 steps (every fifth seed with
-- exactly_once, some with state and changelogs), the seeds that once failed, and planted mistakes (base/fault.h), which
-- must be found.
-- SIM_SEED=N make spec SPEC=spec/sim runs one seed.
local faults = require "spec.support.faults"
local seeds = require "spec.sim.seeds"

local build = require("spec.support.program").build
local seed = os.getenv "SIM_SEED"
local STEPS = seed and 1 or 1000000

-- Runs a program to its end. Returns whether it found nothing, and what it printed.
local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1; echo \"exit $?\""))
  local text = pipe:read "*a"
  pipe:close()
  return text:find "exit 0\n$" ~= nil, text
end

-- The planted mistakes of the delivery code, and within how many seeds each must be found.
local PLANTED = {
  { "commit_after_revoke", 2000 }, { "plus_one_missing", 100 }, { "filter_not_counted", 100 },
  { "dlq_before_ack", 500 }, { "double_release", 500 }, { "attribution_off_by_one", 500 },
  { "ack_of_dropped", 2000 }, { "epoch_not_raised", 500 }, { "other_offsets", 500 },
  { "retry_overtaken", 500 }, { "output_of_another", 100 }, { "lane_of_another", 100 }, { "lane_together", 500 },
  { "waiting_overtaken", 500 }, { "barrier_not_awaited", 500 }, { "state_ahead", 200 }, { "state_kept", 200 },
  { "state_lost", 200 }, { "state_together", 1000 }, { "state_of_revoked", 200 },
  { "state_uncommitted", 500, " --changelog" }, { "restored_beyond", 200, " --changelog" },
  { "state_kept", 500, " --changelog" }, { "state_ahead", 200, " --changelog" },
  { "timer_lost", 200, " --timers" }, { "timer_twice", 200, " --timers" }, { "timer_taken_kept", 300, " --timers" },
  { "timer_not_restored", 200, " --timers" }, { "watermark_not_stored", 100, " --timers" },
  { "timer_taken_again", 200, " --timers" },
}
-- The simulation does not reach those in engine/kafka: see docs/torture.md.

describe("the simulation", function()
  it("the simulation finds nothing in a million steps", function()
    local ok, text = run(("%s/simulate --steps %d --seed %s"):format(build, STEPS, seed or "1"))
    assert.is_true(ok, text)
  end)

  it("the seeds that once failed find nothing any more", function()
    for _, one in ipairs(seeds) do
      local ok, text = run(("%s/simulate --seeds 1 --seed %d"):format(build, one[1]))
      assert.is_true(ok, ("seed %d (%s): %s"):format(one[1], one[2], text))
    end
  end)

  it("finds nothing when each partition is restored from its whole changelog", function()
    for _, more in ipairs { "", ",restore.full=1:bug" } do -- many records at once, and each by itself
      local ok, text = run(("TIDE_FAULTS=changelog.old=1:bug%s %s/simulate --changelog --seeds 500"):format(more,
        faults.folder))
      assert.is_true(ok, text)
    end
  end)

  for _, planted in ipairs(PLANTED) do
    local name, most, more = planted[1], planted[2], planted[3] or ""
    it("the simulation finds the planted mistake " .. name .. more, function()
      local command = ("TIDE_FAULTS=bug.%s=1:bug %s/simulate --seeds %d%s"):format(name, faults.folder, most, more)
      local ok, text = run(command)
      local found = tonumber(text:match "again: SIM_SEED=(%d+)")
      assert.is_false(ok, ("%d seeds have not found %s"):format(most, name))
      assert.truthy(found, text)
      print(("%s: found by seed %d: %s"):format(name, found, text:match "FAILED: ([^\n]*)"))
    end)
  end
end)
