-- SPDX-License-Identifier: MIT
-- Automatic sizes against a small grid of fixed ones, on the memory source: a pipeline that sets nothing is to be
-- within 10 % of the best by hand. Rounds alternate, so that what else runs on the machine meets both; figures are
-- medians. Then the latency of single messages under a load that the workers can bear, with a target.
-- BENCH_QUICK=1 is the short form; an argument names one workload, or "latency".
local ffi = require "ffi"
local tide = require "tidemill"
local testing = require "tidemill.testing"
local automatic = require "tidemill.tuning.automatic"
local C = testing.C

pcall(ffi.cdef, "int usleep(unsigned microseconds);")

C.tide_log_setup("TIDE_LOG_WARN", "TIDE_LOG_TEXT")

local quick = os.getenv "BENCH_QUICK" == "1"
local SECONDS = quick and 1 or 3 -- that are measured, once an automatic run has settled
local ROUNDS = quick and 3 or 7
local DISTINCT, PARTITIONS = 256, 16
local ENDLESS = 1e12 -- messages: the run is stopped by time
local TARGET_MS = 50

local function identity(m) return m end

local WORKLOADS = {
  { name = "tiny messages", size = 40, fn = identity },
  { name = "50 KB messages", size = 50000, fn = identity },
  { name = "expanding output", size = 300, fn = function(m)
    local list = {}
    for i = 1, 10 do list[i] = { value = m.value .. i } end
    return tide.many(list)
  end },
  { name = "1 ms sleeps", size = 100, settle = 9, fn = function(m)
    ffi.C.usleep(1000)
    return m
  end },
  { name = "heavy CPU", size = 100, fn = function(_)
    local x = 1
    for i = 1, 30000 do x = (x * 16807 + i) % 2147483647 end
    return { value = tostring(x) }
  end },
}

-- By hand: processes x max_batch_size.
local GRID = {}
for _, processes in ipairs { 1, 2, 4, 16 } do
  for _, size in ipairs(quick and { 20, 1000 } or { 20, 200, 1000, 5000 }) do
    GRID[#GRID + 1] = { processes = processes, max_batch_size = size }
  end
end

local function name_of(options)
  if not options.processes then return "untouched" end
  return ("%d processes, batches of %d"):format(options.processes, options.max_batch_size)
end

local function start(workload, options)
  local test = testing.steps({ tide.run_task_with_multiprocessing { workload.fn, processes = options.processes,
    max_batch_size = options.max_batch_size } }, { partitions = PARTITIONS })
  return test, automatic.new { engine = test.engine, plan = test.plan }
end

local function run_for(test, part, seconds)
  local until_us = tonumber(C.tide_clock_us()) + seconds * 1e6
  repeat
    if test.engine:run(0.1).kind == "second" and part then part:second() end
  until tonumber(C.tide_clock_us()) >= until_us
end

-- Messages a second, once the sizes have settled.
local function rate_of(workload, options)
  local test, part = start(workload, options)
  for i = 1, DISTINCT do
    local text = tostring(i)
    test:push { value = text .. ("x"):rep(workload.size - #text), timestamp = i, partition = i % PARTITIONS,
      headers = {} }
  end
  C.tide_memory_repeat(test.source, ENDLESS)
  C.tide_memory_discard(test.sink)
  run_for(test, part, part and workload.settle or 0.5)
  local before, from = test:totals().produced_from, tonumber(C.tide_clock_us())
  run_for(test, part, SECONDS)
  local rate = (test:totals().produced_from - before) / (tonumber(C.tide_clock_us()) - from) * 1e6
  test:close()
  return rate
end

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

local function medians(workload, list, rounds)
  local rates = {}
  for round = 1, rounds do
    for i, options in ipairs(list) do
      rates[i] = rates[i] or {}
      rates[i][round] = rate_of(workload, options)
    end
  end
  for i in ipairs(list) do rates[i] = median(rates[i]) end
  return rates
end

-- The best of the grid by one round each, then that one and the untouched pipeline in turn.
local function compare(workload)
  local rates, best = medians(workload, GRID, 1), 1
  for i, rate in ipairs(rates) do best = rate > rates[best] and i or best end
  rates = medians(workload, { {}, GRID[best] }, ROUNDS)
  print(("%-18s untouched %10.0f/s   best by hand %10.0f/s (%s)   ratio %.2f"):format(workload.name, rates[1], rates[2],
    name_of(GRID[best]), rates[1] / rates[2]))
  io.stdout:flush()
end

-- Messages of 1 ms come one by one to a step that is not eager: how long each takes, from the push to the output.
local function latency()
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(([[
local tide = require "tidemill"
pcall(require("ffi").cdef, "int usleep(unsigned microseconds);")
return tide.pipeline "latency" { tide.file_source { path = "/dev/null" },
  tide.run_task_with_multiprocessing { function(m) require("ffi").C.usleep(1000) return m end, eager = false },
  target_latency = "%dms" }]]):format(TARGET_MS))
  file:close()
  local test, times = testing.pipeline(path), {}
  os.remove(path)
  local pushed = {}
  for i = 1, quick and 500 or 3000 do
    test:push { value = "x", timestamp = i, partition = i % 4, headers = {} }
    pushed[i] = tonumber(C.tide_clock_us())
    test.engine:run(0.002)
    for done = #times + 1, test:totals().produced_from do
      times[done] = (tonumber(C.tide_clock_us()) - pushed[done]) / 1000
    end
  end
  test:close()
  table.sort(times)
  print(("target_latency %d ms, not eager, 500 messages/s of 1 ms: p50 %.1f ms, p99 %.1f ms, most %.1f ms"):format(
    TARGET_MS, times[math.ceil(#times * 0.5)], times[math.ceil(#times * 0.99)], times[#times]))
end

for _, workload in ipairs(WORKLOADS) do
  if not arg[1] or workload.name == arg[1] then compare(workload) end
end
if not arg[1] or arg[1] == "latency" then latency() end
