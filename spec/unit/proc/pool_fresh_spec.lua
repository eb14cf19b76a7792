-- SPDX-License-Identifier: MIT
-- Works that want a worker which has run nothing (proc/pool.h, proc/worker_slot.h): a second try of what one died of.
local workers = require "spec.support.workers"
local C = workers.C

describe("a pool", function()
  local run

  local function start(options)
    run = workers.start(options)
  end

  after_each(function()
    if run then run:free() end
    run = nil
  end)

  it("a pool gives a work that wants a fresh worker to one that has run nothing, and goes on with the"
    .. " others", function()
    start { pools = { 2 }, prefetch = 1 }
    local held = run:submit("wait", { number = 1 })
    local other = run:submit("wait", { number = 2 })
    assert.is_true(held.worker ~= other.worker)
    local reserved = run:worker_pid(held.worker)
    local one = run:submit("ok", { fresh = true })
    local behind = { run:submit "ok", run:submit "ok" }
    assert.equal(C.TIDE_WORK_WAITING, tonumber(one.state))
    assert.equal(other.worker, behind[1].worker)
    assert.equal(C.TIDE_WORK_WAITING, tonumber(behind[2].state)) -- the other slot is reserved
    run.shared.gate = 1
    assert.equal("done", run:finish(one)) -- in the slot that had the least to do
    assert.equal(held.worker, one.worker)
    assert.is_true(run:worker_pid(one.worker) ~= reserved)
    run.shared.gate = 2
    for _, work in ipairs(run.works) do assert.equal("done", run:finish(work)) end
    assert.same({ 0, 0 }, { tonumber(C.tide_pool_workers_lost(run.pools[1])), run:count(C.TIDE_M_WORKER_LOST_SIGNAL) })
  end)

  it("a pool replaces no worker for one that is new, or is being replaced", function()
    start { pools = { 2 } }
    local new = { run:worker_pid(0), run:worker_pid(1) }
    local one = run:submit("ok", { fresh = true })
    assert.equal("done", run:finish(one))
    assert.equal(new[one.worker + 1], run:worker_pid(one.worker))
    assert.equal("done", run:finish(run:submit "ok"))
    local crash = run:submit "crash"
    assert.equal("lost", run:finish(crash))
    local again = run:submit("ok", { fresh = true })
    assert.equal("done", run:finish(again))
    assert.equal(crash.worker, again.worker)
    assert.equal(1, tonumber(C.tide_pool_workers_lost(run.pools[1])))
    assert.same({ 1, 1 }, { run:count(C.TIDE_M_WORKER_LOST_SIGNAL), run:count(C.TIDE_M_WORKER_RESPAWN_TIME) })
  end)

  it("a pool gives all workers to the others again when none wants a fresh one any more", function()
    start()
    assert.equal("done", run:finish(run:submit "ok"))
    local held = run:submit("wait", { number = 1 })
    local one = run:submit("ok", { fresh = true })
    assert.is_true(C.tide_pool_withdraw(run.pools[1], one))
    local before = run:worker_pid(0)
    run.shared.gate = 1
    assert.equal("done", run:finish(held))
    assert.equal("done", run:finish(run:submit "ok"))
    assert.equal(before, run:worker_pid(0))
  end)
end)
