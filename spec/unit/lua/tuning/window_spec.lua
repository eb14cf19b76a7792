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

  it("counts the workers of a pool for all steps that share it", function()
    local metrics = { ["consumer.time{spent=busy}"] = 1e6 }
    for step, busy in ipairs { 5e5, 15e5, 2e5 } do
      metrics[TASK .. ("worker.busy.time{step=%d}"):format(step)] = busy
      metrics[TASK .. ("worker.run.time{step=%d}"):format(step)] = busy / 2
      metrics[TASK .. ("worker.cpu.time{step=%d}"):format(step)] = step == 1 and busy / 2 or 0
    end
    local setting = { source = "memory", steps = { { processes = 2, pool = 0 }, { processes = 2, pool = 0 },
      { processes = 1, pool = 1 } } }
    local steps = window.of(nil, { metrics = metrics, totals = { read = 1 } }, setting).steps
    for i = 1, 2 do
      assert.same({ 1, 0.5, 0.25, { 1, 2 } }, { steps[i].busy, steps[i].run, steps[i].cpu, steps[i].sharing })
    end
    assert.same({ 0.25, 0.75, 0.2 }, { steps[1].own, steps[2].own, steps[3].own })
    assert.same({ 0.2, 0, { 3 } }, { steps[3].busy, steps[3].cpu, steps[3].sharing })
  end)

  it("counts no costs as long as no worker has reported", function()
    assert.equal(0, step_with(0, 0).overhead)
  end)
end)
