-- SPDX-License-Identifier: MIT
-- Lies of a zygote, and of workers that are not ready yet: each costs what it is about at the most, and the others go
-- on. What a ready worker sends is in flow/liar_spec.lua.
local ffi = require "ffi"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local workers = require "spec.support.workers"
local liar = require "spec.support.liar"
local C = workers.C

local EXITED, SPAWNED, LOADED = C.TIDE_ZYGOTE_EXITED, C.TIDE_ZYGOTE_SPAWNED, C.TIDE_ZYGOTE_LOADED
local run

local function stop()
  if run then run:free() end
  run = nil
end

local function send_hello(fields, times)
  local hello = ffi.new("struct tide_hello", fields)
  for _ = 1, times or 1 do liar.send(hello, ffi.sizeof(hello)) end
end

describe("a zygote that lies", function()
  after_each(stop)

  -- Two workers have a work each; the zygote says this meanwhile. Both works are done all the same, by these workers.
  local function says(fields)
    run = workers.start { pools = { 2 } }
    local one, two = run:submit("wait", { number = 1 }), run:submit("wait", { number = 1 })
    local before = { run:worker_pid(0), run:worker_pid(1) }
    local event = ffi.new("struct tide_zygote_event", { worker = 1, generation = 1, pid = before[2] })
    for name, value in pairs(fields) do event[name] = value end
    for _ = 1, 3 do C.tide_pool_zygote_event(run.pools[1], run.zygote, event, C.tide_clock_us()) end
    run.shared.gate = 1
    assert.same({ "done", "done" }, { run:finish(one), run:finish(two) })
    assert.same(before, { run:worker_pid(0), run:worker_pid(1) })
    assert.equal(0, tonumber(C.tide_pool_workers_lost(run.pools[1])))
    return C.tide_zygote_false_events(run.zygote)
  end

  local lies = {
    ["the end of another process"] = { kind = EXITED, pid = 1 },
    ["the end of its own process"] = { kind = EXITED, pid = ffi.C.getpid() },
    ["the end of no process"] = { kind = EXITED, pid = -1 },
    ["the end of a worker that was replaced"] = { kind = EXITED, generation = 0 },
    ["the end of a worker that is not there yet"] = { kind = EXITED, generation = 2 },
    ["the start of one that is there"] = { kind = SPAWNED },
    ["the start of a worker with the process id of init"] = { kind = SPAWNED, pid = 1 },
    ["a start that failed, of one that is there"] = { kind = SPAWNED, pid = -1, status = 11 },
    ["the start of a worker that nobody asked for"] = { kind = SPAWNED, generation = 9 },
    ["that it has loaded, again"] = { kind = LOADED },
    ["what there is not"] = { kind = 77 },
  }
  for name, fields in pairs(lies) do
    it("a zygote that lies is not believed, and the workers go on: " .. name, function()
      assert.equal(3, says(fields))
    end)
  end

  it("a zygote that lies about a slot that there is not is not heard by a pool", function()
    run = workers.start()
    for _, slot in ipairs { 1, 2, 2 ^ 31, 2 ^ 32 - 1 } do
      local event = ffi.new("struct tide_zygote_event", { kind = EXITED, worker = slot, generation = 1 })
      assert.is_false(C.tide_pool_zygote_event(run.pools[1], run.zygote, event, 0))
    end
    assert.equal("done", run:finish(run:submit "ok"))
  end)

  -- All numbers are right, so the engine has to believe it. The worker is still there, and sends in the name of its
  -- successor. They share a socket, so the old one is kept at its work (gate 2) as long as the other has work to read.
  it("a zygote that lies about the end of a worker costs that worker's work, which is run again", function()
    run = workers.start { pools = { 2 }, prefetch = 1 }
    local list, old = {}, run:worker_pid(1)
    for i = 1, 4 do list[i] = run:submit("wait", { number = i == 2 and 2 or 1 }) end
    assert.equal(1, list[2].worker)
    run:until_running(list[2])
    local event = ffi.new("struct tide_zygote_event", { kind = EXITED, worker = 1, generation = 1,
      pid = old, status = 9 })
    C.tide_pool_zygote_event(run.pools[1], run.zygote, event, C.tide_clock_us())
    run.shared.gate = 1
    local outcomes = {}
    for i, one in ipairs(list) do outcomes[i] = run:finish(one) end
    assert.same({ "done", "lost", "done", "done" }, outcomes, "only what it ran")
    run:until_alive()
    assert.equal(0, run:count(C.TIDE_M_WORKER_VIOLATION_MESSAGE))
    run.shared.gate = 2
    run:turn_until(function() return run:count(C.TIDE_M_WORKER_VIOLATION_MESSAGE) == 1 end, "its report")
    ffi.C.kill(old, 9) -- it would take the next work from the socket
    wait.until_true(function() return not process.alive(old) end, "its end")
    run:turn_until(function() return tonumber(C.tide_pool_workers_lost(run.pools[1])) == 2 end, "that of its successor")
    run:until_alive()
    assert.equal("done", run:finish(run:submit "ok"))
  end)

  it("a zygote that lies while it loads, with a message too long or none at all, is a failure that says so", function()
    for _, size in ipairs { 1, 9000, ffi.sizeof "struct tide_zygote_event" } do
      local bytes = ffi.new("char[9000]", 77)
      ffi.fill(bytes, 9000, 77)
      run = workers.new { load = function()
        liar.send(bytes, size)
        while true do wait.pause(10) end
      end }
      assert.equal(C.TIDE_ECONFIG, C.tide_zygote_wait_loaded(run.zygote, -1))
      ffi.C.kill(run.pid, 9) -- it reads nothing, and would be waited for
      stop()
    end
  end)

  it("a zygote that lies while it loads, with pieces without end, does not evade the limit", function()
    run = workers.new { load = function(self)
      while true do C.tide_zygote_loading(self.zygote, "one more") end
    end }
    C.tide_zygote_limit(run.zygote, 60e6)
    assert.equal(C.TIDE_ECONFIG, C.tide_zygote_wait_loaded(run.zygote, -1))
    ffi.C.kill(run.pid, 9)
  end)
end)

describe("a worker that lies before it is ready", function()
  after_each(stop)

  -- Workers of this run begin so; the first one of them all does it right.
  local function start(lie)
    local shared = workers.shared()
    shared.gate = 0
    run = workers.new { shared = shared, start = function(self)
      if self.shared.gate == 1 then lie() end
    end }
    assert(C.tide_zygote_wait_loaded(run.zygote, -1) == C.TIDE_OK)
    C.tide_pool_limit_start(run.pools[1], 60e6)
    assert(C.tide_pool_start(run.pools[1]) == C.TIDE_OK)
    run:until_alive()
    run.shared.gate = 1
    ffi.C.kill(run:worker_pid(0), 9)
    run:turn_until(function()
      return run:count(C.TIDE_M_WORKER_VIOLATION_MESSAGE) > 0 or run.status < 0
    end, "the violation")
    run.shared.gate = 0
    assert.equal("done", run:finish(run:submit "ok"))
  end

  local function stay()
    while true do wait.pause(10) end
  end

  local GENERATION = 2 -- of the one after the first

  it("a worker that lies before it is ready is replaced: hooks without end", function()
    start(function()
      while true do send_hello({ generation = GENERATION, kind = C.TIDE_HELLO_HOOK, text = "start: x.lua:1" }, 100) end
    end)
  end)

  it("a worker that lies before it is ready is replaced: a report of a job that it does not have", function()
    start(function()
      local report = ffi.new("struct tide_job_report", { generation = GENERATION })
      liar.send(report, ffi.sizeof(report))
      stay()
    end)
  end)

  it("a worker that lies before it is ready is replaced: it goes on after it has failed", function()
    start(function()
      send_hello { generation = GENERATION, kind = C.TIDE_HELLO_FAILED, text = "no" }
      send_hello { generation = GENERATION, kind = C.TIDE_HELLO_READY }
      stay()
    end)
  end)

  it("a worker that lies before it is ready is killed when it says that it leaves and stays", function()
    local shared = workers.shared()
    run = workers.new { shared = shared, start = function(self)
      if self.shared.gate == 1 then
        send_hello { generation = GENERATION, kind = C.TIDE_HELLO_FAILED, text = "no" }
        stay()
      end
    end }
    assert(C.tide_zygote_wait_loaded(run.zygote, -1) == C.TIDE_OK)
    assert(C.tide_pool_start(run.pools[1]) == C.TIDE_OK)
    run:until_alive()
    run.shared.gate = 1
    ffi.C.kill(run:worker_pid(0), 9)
    run:turn_until(function() return tonumber(C.tide_pool_workers_lost(run.pools[1])) == 1 end, "the loss")
    run:turn_until(function()
      C.tide_clock_advance(100000)
      return tonumber(C.tide_pool_workers_lost(run.pools[1])) == 2
    end, "the kill")
    run.shared.gate = 0
    assert.equal("done", run:finish(run:submit "ok"))
  end)
end)
