-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local child = require "spec.support.child"
local wait = require "spec.support.wait"
local workers = require "spec.support.workers"
local C = workers.C

local SIGKILL, SIGSEGV, SIGSTOP, SIGCONT = 9, 11, 19, 18
local run

local function start(options)
  run = workers.start(options)
end

local function stop()
  if run then run:free() end
  run = nil
end

local function kill(pid, number)
  assert.equal(0, ffi.C.kill(pid, number or SIGKILL))
end

local function signal_of(work)
  return work.death % 128
end

describe("a pool", function()
  after_each(stop)

  it("a pool gives a work to a worker and takes its report", function()
    start()
    local one = run:submit("ok", { number = 7 })
    assert.equal("done", run:finish(one))
    assert.equal(C.TIDE_JOB_DONE, tonumber(one.status))
    assert.equal(7, tonumber(one.job.output.progress))
    assert.is_true(one.busy_ns > 0)
    assert.equal("done", run:finish(run:submit "full"))
    assert.equal(C.TIDE_JOB_FULL, tonumber(run.works[2].status))
  end)

  it("a pool gives the same work again once it is IDLE, and only then", function()
    start()
    local one = run:submit "ok"
    run:finish(one)
    assert.is_nil((child.run(function() C.tide_pool_submit(run.pools[1], one) end)))
    one.state = C.TIDE_WORK_IDLE
    C.tide_pool_submit(run.pools[1], one)
    assert.equal("done", run:finish(one))
    child.stop_all()
  end)

  it("a pool spreads works over its workers, and knows when one is idle", function()
    start { pools = { 2 } }
    assert.is_true(C.tide_pool_has_idle(run.pools[1]))
    local a, b = run:submit("wait", { number = 1 }), run:submit("wait", { number = 1 })
    assert.is_true(a.worker ~= b.worker)
    assert.is_false(C.tide_pool_has_idle(run.pools[1]))
    run.shared.gate = 1
    assert.same({ "done", "done" }, { run:finish(a), run:finish(b) })
    assert.is_true(C.tide_pool_has_idle(run.pools[1]))
  end)

  it("a pool gives a worker one work and those of prefetch; the others wait and can be withdrawn", function()
    start { prefetch = 1 }
    local list = {}
    for i = 1, 4 do list[i] = run:submit("wait", { number = 1 }) end
    assert.same({ C.TIDE_WORK_GIVEN, C.TIDE_WORK_GIVEN, C.TIDE_WORK_WAITING, C.TIDE_WORK_WAITING },
      { tonumber(list[1].state), tonumber(list[2].state), tonumber(list[3].state), tonumber(list[4].state) })
    assert.is_false(C.tide_pool_withdraw(run.pools[1], list[2]))
    assert.is_true(C.tide_pool_withdraw(run.pools[1], list[3]))
    assert.is_true(C.tide_pool_withdraw(run.pools[1], list[3]))
    run.shared.gate = 1
    assert.same({ "done", "done" }, { run:finish(list[4]), run:finish(list[2]) })
    assert.same({ 1, 2, 4 }, run:begun())
  end)

  it("a pool gives later steps first, then what goes on with a block, then the older", function()
    start()
    local first = run:submit("wait", { number = 1 })
    local order = {
      { step = 0, sequence = 9 }, { step = 1, sequence = 8 }, { step = 0, sequence = 5 }, { step = 1, sequence = 7 },
      { step = 0, sequence = 6, continued = true }, { step = 1, sequence = 9, continued = true },
    }
    for _, options in ipairs(order) do run:submit("ok", options) end
    run.shared.gate = 1
    run:finish(first)
    for _, one in ipairs(run.works) do assert.equal("done", run:finish(one)) end
    assert.same({ 1, 7, 5, 3, 6, 4, 2 }, run:begun())
  end)

  it("a pool shares the zygote with another one without a mix-up", function()
    start { pools = { 1, 2 } }
    local a, b = run:submit("wait", { number = 1, pool = 1 }), run:submit("ok", { pool = 2 })
    assert.equal("done", run:finish(b))
    assert.equal(0, a.worker)
    assert.is_true(b.worker > 0)
    local before = run:worker_pid(0, 2)
    kill(run:worker_pid(0, 1))
    assert.equal("lost", run:finish(a))
    run:until_alive()
    assert.equal(before, run:worker_pid(0, 2))
    local lost = { tonumber(C.tide_pool_workers_lost(run.pools[1])), tonumber(C.tide_pool_workers_lost(run.pools[2])) }
    assert.same({ 1, 0 }, lost)
    assert.same({ 1, 0 }, { run:count(C.TIDE_M_WORKER_LOST_SIGNAL, 1), run:count(C.TIDE_M_WORKER_LOST_SIGNAL, 2) })
    local event = ffi.new("struct tide_zygote_event", { worker = 1 })
    assert.is_false(C.tide_pool_zygote_event(run.pools[1], run.zygote, event, 0))
  end)

  it("a pool tells the metrics how many processes it has", function()
    start { pools = { 2 } }
    assert.equal(2, C.tide_counters_get(run.counters, 1, C.TIDE_M_PROCESSES).last)
    assert.equal(1, run:count(C.TIDE_M_POOL_CREATE))
    assert.equal(2, C.tide_pool_processes(run.pools[1]))
    assert.equal(0, C.tide_pool_pid(run.pools[1], 2))
  end)
end)

describe("a lost worker", function()
  after_each(stop)

  it("a lost worker is replaced; the work it was at is LOST, those behind it are done by the new one", function()
    start { prefetch = 3 }
    local before = run:worker_pid(0)
    local first = run:until_running(run:submit("wait", { number = 1 }))
    local behind = { run:submit "ok", run:submit "ok", run:submit "full" }
    kill(before)
    assert.equal("lost", run:finish(first))
    assert.is_true(first.attributed)
    assert.equal(SIGKILL, signal_of(first))
    for _, one in ipairs(behind) do assert.equal("done", run:finish(one)) end
    assert.same({ 1, 2, 3, 4 }, run:begun())
    assert.is_true(run:worker_pid(0) ~= before)
    assert.equal(1, tonumber(C.tide_pool_workers_lost(run.pools[1])))
    assert.equal(1, run:count(C.TIDE_M_WORKER_LOST_SIGNAL))
    assert.equal(1, run:count(C.TIDE_M_WORKER_RESPAWN_TIME))
  end)

  it("a lost worker that crashed or left by itself is told apart", function()
    start()
    local one, two = run:submit "crash", run:submit("exit", { number = 3 })
    assert.equal("lost", run:finish(one))
    assert.equal(SIGSEGV, signal_of(one))
    assert.equal("lost", run:finish(two))
    assert.equal(3 * 256, two.death)
    assert.is_true(one.attributed and two.attributed)
    assert.same({ 1, 1 }, { run:count(C.TIDE_M_WORKER_LOST_SIGNAL), run:count(C.TIDE_M_WORKER_LOST_EXIT) })
    assert.equal("done", run:finish(run:submit "ok"))
  end)

  it("a lost worker is not blamed when it died outside the loop over a block", function()
    start()
    local one = run:submit("leave", { number = 4 })
    assert.equal("lost", run:finish(one))
    assert.is_false(one.attributed)
  end)

  it("a lost worker loses nothing that it reported before", function()
    start()
    local one, event = run:submit "late", ffi.new "struct tide_zygote_event"
    -- nobody reads its report before the zygote tells of its end
    wait.until_true(function()
      return C.tide_zygote_receive(run.zygote, event) == 1 and event.kind == C.TIDE_ZYGOTE_EXITED
    end, "its end")
    C.tide_pool_zygote_event(run.pools[1], run.zygote, event, C.tide_clock_us())
    assert.equal(C.TIDE_WORK_DONE, tonumber(one.state))
    run:turn_until(function() return C.tide_pool_workers_lost(run.pools[1]) == 1 end, "the loss")
    assert.equal("done", run:finish(run:submit "ok"))
  end)

  it("a lost worker is not given work before it is replaced, and the others go on", function()
    start { pools = { 2 } }
    for _ = 1, 20 do
      kill(run:worker_pid(0))
      for _ = 1, 3 do
        local one = run:submit "ok"
        if run:finish(one) == "lost" then assert.is_false(one.attributed) end
      end
      run:until_alive()
    end
  end)

  it("a lost worker that never does anything is given up after five", function()
    local shared = workers.shared()
    shared.short_lived = 1
    start { shared = shared, short_lived = true }
    run:turn_until(function() return run.status < 0 end, "the end of patience")
    assert.equal(C.TIDE_ETEMPORARY, run.status)
    assert.truthy(library.error():find("worker 0 died 5 times", 1, true))
  end)

  it("a lost worker is not given up when each one did something", function()
    start()
    for i = 1, 8 do
      assert.equal("done", run:finish(run:submit "late"))
      run:turn_until(function() return C.tide_pool_workers_lost(run.pools[1]) == i or run.status < 0 end, "the loss")
      run:until_alive()
    end
    assert.equal("done", run:finish(run:submit "ok"))
  end)
end)

describe("a zygote that has stopped", function()
  after_each(stop)

  local function halt()
    kill(C.tide_zygote_pid(run.zygote), SIGSTOP)
  end

  local function seconds(count)
    for _ = 1, count do
      C.tide_clock_advance(1e6)
      run.status = run:turn()
    end
    return run.status
  end

  local function is_given_up()
    assert.equal(C.TIDE_OK, seconds(8))
    assert.equal(C.TIDE_ETEMPORARY, seconds(5))
    assert.truthy(library.error():find("^the zygote %(pid %d+%) has not answered for 10 s"))
    kill(C.tide_zygote_pid(run.zygote))
  end

  it("a zygote that has stopped and is to replace a worker is given up after ten seconds", function()
    start()
    local event = ffi.new "struct tide_zygote_event"
    kill(run:worker_pid(0))
    wait.until_true(function() return C.tide_zygote_receive(run.zygote, event) == 1 end, "the loss")
    halt()
    C.tide_pool_zygote_event(run.pools[1], run.zygote, event, C.tide_clock_us())
    is_given_up()
  end)

  it("a zygote that has stopped and is to kill a worker is given up after ten seconds", function()
    start()
    halt()
    run:until_running(run:submit("wait", { number = 1 }))
    C.tide_pool_limit(run.pools[1], 50000)
    local pid = run:worker_pid(0)
    kill(pid, SIGSTOP) -- so that it does not wait for a core, which would excuse it
    wait.until_true(function() return io.lines(("/proc/%d/stat"):format(pid))():find "%) T" end, "the worker to stand")
    for _ = 1, 6 do -- a quarter of the limit counts from one look to the next
      C.tide_clock_advance(12500)
      run:turn()
    end
    is_given_up()
  end)

  it("a zygote that has stopped is waited for as long as nothing is asked of it", function()
    start()
    halt()
    assert.equal(C.TIDE_OK, seconds(60))
    kill(C.tide_zygote_pid(run.zygote), SIGCONT)
    assert.equal("done", run:finish(run:submit "ok"))
  end)

  it("a zygote that has stopped and goes on in time has what is lost replaced", function()
    start()
    halt()
    local one = run:until_running(run:submit("wait", { number = 1 }))
    C.tide_pool_limit(run.pools[1], 50000)
    assert.equal(C.TIDE_OK, seconds(9))
    kill(C.tide_zygote_pid(run.zygote), SIGCONT)
    assert.equal("lost", run:finish(one))
    C.tide_pool_limit(run.pools[1], 0)
    assert.equal("done", run:finish(run:submit "ok"))
    run:until_alive() -- its report may be here before the event of its beginning
    assert.equal(C.TIDE_OK, seconds(60))
  end)
end)

describe("a worker that breaks the protocol", function()
  after_each(stop)

  local function replaced(before)
    run:turn_until(function()
      local now = run:worker_pid(0)
      return now ~= 0 and now ~= before
    end, "a new worker")
    assert.is_true(run:count(C.TIDE_M_WORKER_LOST_PROTOCOL) >= 1)
    assert.equal("done", run:finish(run:submit "ok"))
  end

  it("a worker that breaks the protocol by a report that fits no job is killed, and its work is LOST", function()
    start()
    local before = run:worker_pid(0)
    assert.equal("lost", run:finish(run:submit "lie"))
    replaced(before)
  end)

  it("a worker that breaks the protocol by a report that nobody waits for is killed too", function()
    start()
    local before = run:worker_pid(0)
    assert.equal("done", run:finish(run:submit "twice"))
    run:turn()
    run.shared.gate = 1
    replaced(before)
  end)

  it("a worker that breaks the protocol is killed too when it was quicker than the event of its beginning", function()
    run = workers.new {}
    assert(C.tide_zygote_wait_loaded(run.zygote, -1) == C.TIDE_OK)
    assert(C.tide_pool_start(run.pools[1]) == C.TIDE_OK)
    local one = run:submit "ok"
    wait.until_true(function() -- what the zygote tells is not read meanwhile
      C.tide_pool_poll(run.pools[1], C.tide_clock_us())
      return one.state == C.TIDE_WORK_DONE
    end, "the report")
    C.tide_pool_report_violation(run.pools[1], one, "lied")
    assert.equal(C.TIDE_WORK_GIVEN, tonumber(one.state)) -- it may still write to its blocks
    assert.equal("lost", run:finish(one))
    run:until_alive()
    assert.equal(1, run:count(C.TIDE_M_WORKER_LOST_PROTOCOL))
    assert.equal("done", run:finish(run:submit "ok"))
  end)

  it("a worker that breaks the protocol by a report of another size is killed too", function()
    start { check = function(_, self)
      ffi.cdef "long send(int socket, const void *bytes, size_t size, int flags);"
      local own = ffi.new("char[4]", "abc")
      for fd = 3, 60 do ffi.C.send(fd, own, 3, 0) end -- its own socket is among them
      while self do C.tide_worker_seed() end
    end }
    local before = run:worker_pid(0)
    assert.equal("lost", run:finish(run:submit "check"))
    replaced(before)
  end)
end)

describe("a worker at one record for too long", function()
  after_each(stop)

  local function limit(limit_us)
    C.tide_pool_limit(run.pools[1], limit_us)
  end

  it("a worker at one record for too long is killed, and its work is WORKER_LOST and timed out", function()
    start()
    local one = run:until_running(run:submit("wait", { number = 1 }))
    limit(50000)
    assert.equal("lost", run:finish(one))
    assert.is_true(one.timed_out and one.attributed)
    limit(0) -- a busy machine may let any worker stand still for so long
    assert.equal("done", run:finish(run:submit "ok"))
  end)

  it("a worker at one record for too long is left alone as long as it publishes", function()
    start { check = function(job, self)
      for i = 1, 8 do
        while self.shared.gate < i do wait.pause(1) end
        C.tide_worker_publish(job.output, i, 0)
      end
    end }
    limit(1000000)
    local one = run:submit "check"
    for i = 1, 8 do -- a quarter of the limit counts from one look to the next: twice the limit in all
      C.tide_clock_advance(300000)
      run.shared.gate = i
      wait.until_true(function() return one.job.output.progress == i end, "its progress")
      run:turn()
    end
    limit(0)
    assert.equal("done", run:finish(one))
  end)

  it("a worker at one record for too long is not found stalled by an engine that was stopped itself", function()
    start()
    local one = run:until_running(run:submit("wait", { number = 1 }))
    limit(2500000)
    run:turn()
    C.tide_clock_advance(3600e6) -- an hour passes between two turns
    run:turn()
    C.tide_clock_advance(-3600e6)
    run.shared.gate = 1
    assert.equal("done", run:finish(one))
  end)

  it("a worker at one record for too long takes the blame for that record only, not for one that it has"
    .. " begun since", function()
    -- In place of the signal nothing happens, so that the worker goes on for a while.
    start { prefetch = 1, kill = ffi.cast("void (*)(uint32_t, uint32_t)", ffi.C.getpid) }
    local pid, slow = run:worker_pid(0), run:until_running(run:submit("wait", { number = 1 }))
    local next_one = run:submit("wait", { number = 2 })
    limit(50000)
    for _ = 1, 6 do -- a quarter of the limit counts from one look to the next
      C.tide_clock_advance(1e6)
      run:turn()
    end -- found stalled: it is to be killed
    limit(60e6) -- and the next one is not, however long it takes
    run.shared.gate = 1
    run:until_running(next_one)
    kill(pid, SIGKILL)
    assert.equal("lost", run:finish(next_one))
    assert.equal("done", run:finish(slow))
    assert.is_false(next_one.timed_out)
  end)
end)
