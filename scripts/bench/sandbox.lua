-- SPDX-License-Identifier: MIT
-- What the sandbox costs: a worker's start (from the kill of one to the hello of the next, and the rules by themselves)
-- and the messages of one worker, with and without it in turn, so that a machine which gets slower slows both.
-- LUA_PATH="./lua/?.lua;./lua/?/init.lua;./?.lua;;" luajit scripts/bench/sandbox.lua
local ffi = require("ffi")
local C = require("spec.support.headers").declare("proc/sandbox.h")
local child = require("spec.support.child")
local flow = require("spec.support.flow")
local library = require("tidemill.run.ffi")
local median = require("scripts.bench.median")
local wait = require("spec.support.wait")

local PAIRS, KILLS, MESSAGES = tonumber(os.getenv("BENCH_PAIRS")) or 11, 40, 2e6

ffi.cdef "char *getcwd(char *path, size_t size); int usleep(unsigned microseconds);"
local own = ffi.string(ffi.C.getcwd(ffi.new "char[4096]", 4096))
local standard = { trust = "standard",
  read = { own, library.folder, "/usr/lib", "/lib", "/usr/share", "/usr/local" } }
local full = { trust = "full" }

-- Processor time of the engine and its workers for one message, in nanoseconds, and messages a second.
local function throughput(sandbox)
  local run = assert(flow.new { partitions = 16, sandbox = sandbox,
    steps = { { function(message) return message end } } })
  for i = 1, 1024 do
    run:push { value = ('{"id":%d,"text":"%s"}'):format(i, ("t"):rep(240)), timestamp = i, partition = i % 16 }
  end
  C.tide_memory_repeat(run.source, MESSAGES)
  C.tide_memory_discard(run.sink)
  local event = run:finish(300)
  local totals = run.engine:totals()
  local worker = run:metric(1, "WORKER_CPU_TIME")
  run:free()
  assert(event.kind == "done" and totals.produced_from == MESSAGES, event.text)
  return totals.read / totals.seconds, worker.count / MESSAGES * 1000
end

-- Milliseconds from the kill of an idle worker to the hello of its replacement.
local function starts(sandbox, took)
  local run = assert(flow.new { sandbox = sandbox, steps = { { function(message) return message end } } })
  run.turn = 0.0005
  run:start()
  local function until_ready(before)
    run:turn_until(function()
      local now = run.engine:worker_pid(0, 0)
      return now and now ~= before
    end)
    return run.engine:worker_pid(0, 0)
  end
  local pid = until_ready()
  for _ = 1, KILLS do
    local killed = wait.now()
    ffi.C.kill(pid, 9)
    pid = until_ready(pid)
    took[#took + 1] = (wait.now() - killed) * 1000
  end
  run:free()
end

-- Microseconds that a process takes to enter the sandbox: the zygote's rules, and a worker's.
local function entering()
  local file = os.tmpname()
  local code, _, text = child.run(function()
    local plan, support = ffi.new "struct tide_plan_sandbox", ffi.new "struct tide_sandbox_support"
    local read = ffi.new("const char *[?]", #standard.read, standard.read)
    local out = assert(io.open(file, "w"))
    plan.trust, plan.read, plan.read_count = C.TIDE_TRUST_STANDARD, read, #standard.read
    C.tide_sandbox_support(support)
    local keep = ffi.new("int[20]")
    for i = 0, 19 do keep[i] = i + 3 end
    local began = wait.now()
    assert(C.tide_sandbox_enter_zygote(plan, support, keep, 20) == 0)
    local between = wait.now()
    assert(C.tide_sandbox_enter_worker(plan, support) == 0)
    out:write(("%g %g"):format((between - began) * 1e6, (wait.now() - between) * 1e6))
    out:close()
  end)
  assert(code == 0, text)
  local zygote, worker = io.open(file):read("*n", "*n")
  os.remove(file)
  return zygote, worker
end

local rates, cpu = { {}, {} }, { {}, {} }
for i = 1, PAIRS do
  for _, which in ipairs(i % 2 == 0 and { 1, 2 } or { 2, 1 }) do
    rates[which][#rates[which] + 1], cpu[which][#cpu[which] + 1] = throughput(which == 1 and full or standard)
  end
end
local took = { {}, {} }
for _ = 1, 5 do
  starts(full, took[1])
  starts(standard, took[2])
end
local zygotes, workers = {}, {}
for i = 1, 31 do zygotes[i], workers[i] = entering() end

print(("Throughput, one worker, identity, medians of %d runs of %d in turn: full %.3f, standard %.3f million "
  .. "messages/s (%+.1f %%)"):format(PAIRS, MESSAGES, median(rates[1]) / 1e6, median(rates[2]) / 1e6,
  (median(rates[2]) / median(rates[1]) - 1) * 100))
print(("  processor time of the worker for a message: full %.1f, standard %.1f ns"):format(median(cpu[1]),
  median(cpu[2])))
print(("A worker's start, from kill to hello, medians of %d: full %.2f, standard %.2f ms"):format(#took[1],
  median(took[1]), median(took[2])))
print(("  of that the worker's rules %.0f us; the zygote's, once in a run, %.0f us"):format(median(workers),
  median(zygotes)))
