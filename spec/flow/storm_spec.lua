-- SPDX-License-Identifier: MIT
-- All workers killed at once, a hundred times, at random moments: nothing is lost, doubled, out of order or blamed.
-- TIDE_SEED repeats a run.
local ffi = require "ffi"
local flow = require "spec.support.flow"
local seeds = require "spec.support.seed"

pcall(ffi.cdef, "int kill(int pid, int signal);")

local STORMS, WORKERS, PARTITIONS, SIGKILL = 100, 4, 4, 9

describe("a storm of deaths", function()
  local fixture = flow.fixture()

  -- Kills all that are there, once some of them are up and as many more messages are through as chance says.
  local function strike(run, pushed)
    local wanted = run.engine:totals().produced + math.random(0, 200)
    run:turn_until(function(event)
      assert(event.kind ~= "failed", event.text)
      return run.engine:totals().produced >= math.min(wanted, pushed) and run.engine:worker_pid(0, 0)
    end)
    for index = 0, WORKERS - 1 do
      local pid = run.engine:worker_pid(0, index)
      if pid then ffi.C.kill(pid, SIGKILL) end
    end
  end

  it("a storm of deaths costs nothing but time", function()
    seeds.draw()
    -- A message may be hit in its second run as well: chance must not make that look like its fault.
    local run = fixture.new { pools = { WORKERS }, partitions = PARTITIONS, steps = { { function(message)
      local x = 0
      for i = 1, 20000 do x = x + i % 7 end
      return x > 0 and message
    end, max_batch_size = 50, crash_retries = 100 } } }
    run.turn = 0.001
    run:start()
    local pushed = 0
    for _ = 1, STORMS do
      for i = 1, 120 do run:push(tostring(pushed + i), (pushed + i) % PARTITIONS) end
      pushed = pushed + 120
      strike(run, pushed)
    end
    assert.equal("done", run:finish(60).kind)
    local last, results = {}, run:results()
    assert.equal(pushed, #results)
    for _, result in ipairs(results) do
      assert.equal((last[result.partition] or -1) + 1, result.offset)
      last[result.partition] = result.offset
    end
    assert.is_true(run:balanced())
    assert.is_true(run:metric(1, "WORKER_LOST_SIGNAL").count >= STORMS)
  end)
end)
