-- SPDX-License-Identifier: MIT
-- What a window makes of the counters.
local window = require "tidemill.tuning.window"

local TASK = "strategies.run_task_with_multiprocessing."

-- One second in which one process had batches all the time, and was in the functions for `run` microseconds of it.
local function step_with(batches, run)
  local metrics = { ["consumer.time{spent=busy}"] = 1e6,
    [TASK .. "batch.size.msg"] = { count = batches, sum = batches },
    [TASK .. "worker.busy.time"] = 1e6,
    [TASK .. "worker.run.time"] = run }
  local setting = { source = "memory", steps = { { processes = 1 } } }
  return window.of(nil, { metrics = metrics, totals = { read = 1 } }, setting).steps[1]
end

describe("a window", function()
  it("counts what a worker with many small batches does beside the functions as what batches cost", function()
    assert.equal(0.7, step_with(20000, 3e5).overhead)
  end)

  it("counts no more for a batch than a batch can cost: the rest is a worker without a core", function()
    assert.equal(0.1, step_with(1000, 3e5).overhead)
  end)

  it("counts no costs as long as no worker has reported", function()
    assert.equal(0, step_with(0, 0).overhead)
  end)
end)
