-- SPDX-License-Identifier: MIT
-- Works that are pinned to the worker of their lane (proc/pool.h): lanes are spread over the processes.
local ffi = require "ffi"
local workers = require "spec.support.workers"
local C = workers.C

local SIGKILL = 9

describe("a pinned work", function()
  local run

  local function start(options)
    run = workers.start(options)
  end

  after_each(function()
    if run then run:free() end
    run = nil
  end)

  it("a pinned work goes to the worker of its lane, and waits for it while others are idle", function()
    start { pools = { 3 } }
    local held = run:submit("wait", { number = 1, lane = 1 })
    assert.equal(1, held.worker)
    local behind, other = run:submit("ok", { lane = 4 }), run:submit("ok", { lane = 2 })
    assert.equal(C.TIDE_WORK_WAITING, tonumber(behind.state)) -- lane 4 has the same worker as lane 1
    assert.same({ false, true }, { C.tide_pool_is_idle(run.pools[1], 4), C.tide_pool_is_idle(run.pools[1], 3) })
    assert.equal("done", run:finish(other))
    assert.equal(2, other.worker)
    run.shared.gate = 1
    assert.equal("done", run:finish(behind))
    assert.equal(1, behind.worker)
  end)

  it("a pinned work that wants a fresh worker gets one in the slot of its lane", function()
    start { pools = { 2 } }
    local before = { run:worker_pid(0), run:worker_pid(1) }
    assert.equal("done", run:finish(run:submit("ok", { lane = 1 })))
    local again = run:submit("ok", { lane = 1, fresh = true })
    assert.equal("done", run:finish(again))
    assert.equal(1, again.worker)
    assert.is_true(run:worker_pid(1) ~= before[2])
    assert.equal(before[1], run:worker_pid(0))
  end)

  it("a pinned work waits for the successor of its worker when that dies", function()
    start { pools = { 2 } }
    local held = run:submit("wait", { number = 1, lane = 0 })
    run:turn_until(function() return run.shared.count == 1 end, "the work")
    assert.equal(0, ffi.C.kill(run:worker_pid(0), SIGKILL))
    assert.equal("lost", run:finish(held))
    local again = run:submit("ok", { lane = 0 })
    assert.equal("done", run:finish(again))
    assert.equal(0, again.worker)
  end)

  it("lanes are spread over the processes that there are now", function()
    start { pools = { 4 } }
    C.tide_pool_resize(run.pools[1], 2)
    for lane = 0, 3 do
      local one = run:submit("ok", { lane = lane })
      assert.equal("done", run:finish(one))
      assert.equal(lane % 2, one.worker)
    end
    C.tide_pool_resize(run.pools[1], 4)
    run:until_alive()
    local of_lane, of_worker = {}, {}
    for at = 0, 7 do -- a slot whose worker is still leaving is used last, so lane 2 may have either new one
      local lane = at % 4
      local one = run:submit("ok", { lane = lane })
      assert.equal("done", run:finish(one))
      local worker = tonumber(one.worker)
      assert.equal(worker, of_lane[lane] or worker)
      assert.equal(lane, of_worker[worker] or lane)
      of_lane[lane], of_worker[worker] = worker, lane
    end
    assert.equal(0, of_worker[0])
    assert.equal(1, of_worker[1])
  end)

  it("a reservation of a slot for a fresh worker goes when lanes change their workers", function()
    start { pools = { 2 } }
    local held = run:submit("wait", { number = 1, lane = 1 })
    local fresh = run:submit("ok", { lane = 1, fresh = true })
    assert.equal(C.TIDE_WORK_WAITING, tonumber(fresh.state))
    C.tide_pool_resize(run.pools[1], 1) -- lane 1 has the worker of lane 0 now
    run.shared.gate = 1
    assert.equal("done", run:finish(held))
    assert.equal("done", run:finish(fresh))
    assert.equal(0, fresh.worker)
    C.tide_pool_resize(run.pools[1], 2)
    run:until_alive()
    assert.equal("done", run:finish(run:submit("ok", { lane = 1 })))
  end)
end)
