-- SPDX-License-Identifier: MIT
-- Single costs in ns: a message's way through an engine in process, the hand-over of a batch, the jobs in the worker's
-- loop, the offset tracker, a delivery report, a look at rebalances. Prints them beside those of the last record of
-- this kind of machine in scripts/bench/micro.json, and marks what differs by more than 10 %.
--   luajit scripts/bench/micro.lua             compares
--   luajit scripts/bench/micro.lua record      writes the figures of this commit into that file as well
-- Processor time is measured and not the clock, except where a line says so; others on the machine count less so.
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
local block = require "spec.support.block"
local cjson = require "cjson"
local engine_runs = require "scripts.bench.engine_runs"
local figures = require "scripts.bench.figures"
local flow = require "spec.support.flow"
local jobs = require "scripts.bench.jobs"
local machine = require "scripts.bench.machine"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local C = require("tidemill.run.ffi").C

require("jit.opt").start("maxmcode=8192", "sizemcode=256", "maxtrace=4000", "maxrecord=16000", "maxirconst=4000")

local FILE, CHANGE = "scripts/bench/micro.json", 0.1
local round_count = figures.setting("ROUNDS", 9, 5)
local SCALE = figures.quick and 0.2 or 1

local function identity(message) return message end

-- An engine over `count` messages of about 270 bytes; returns ns a message: of the clock, of the engine, of the worker.
local function through_engine(count, options)
  options.partitions, options.steps[1].prefetch_batches = 16, 1
  local run = assert(flow.new(options))
  for i = 1, 1024 do
    local value = ('{"id":%d,"level":"info","value":%d,"text":"%s"}'):format(i, i * 7, ("t"):rep(220))
    run:push { key = options.keys and "k" .. i, value = value, timestamp = i, partition = i % 16 }
  end
  C.tide_memory_repeat(run.source, count)
  C.tide_memory_discard(run.sink)
  local cpu = os.clock()
  local totals = engine_runs.finish(run)
  cpu = os.clock() - cpu
  local worker = run:metric(1, "WORKER_CPU_TIME").count
  run:free()
  assert(totals.produced_from == count)
  return totals.seconds / count * 1e9, cpu / count * 1e9, worker / count * 1e3
end

local function hop()
  local clock, engine, worker = through_engine(3e6 * SCALE, { steps = { { identity } } })
  return { ["hop, the clock"] = clock, ["hop, engine"] = engine, ["hop, worker"] = worker }
end

local function hand_over()
  local clock, engine, worker = through_engine(1e5 * SCALE, { steps = { { identity, max_batch_size = 1 } } })
  return { ["batch of one message, the clock"] = clock, ["batch of one message, engine"] = engine,
    ["batch of one message, worker"] = worker }
end

-- What a state of 100 bytes costs that is read and written with each message, beside the same lanes without one.
local A, B = ("a"):rep(100), ("b"):rep(100)
local function swap(message, state)
  state.value = state.value == A and B or A
  return message
end

local function state()
  local count, commit = 1e6 * SCALE, { min_time = 1 }
  local _, plain_engine, plain_worker = through_engine(count, { keys = true, commit = commit,
    steps = { { identity, order = "key" } } })
  local _, engine, worker = through_engine(count, { keys = true, commit = commit,
    steps = { { { kind = "keyed", of = swap, states = { "s" } }, order = "key", states = { "s" } } } })
  return { ["state of 100 bytes, engine"] = engine - plain_engine,
    ["state of 100 bytes, worker"] = worker - plain_worker }
end

-- One message after the other through an engine with nothing else to do, which looks for it all the time.
local function round_trip()
  local run, times = assert(flow.new { steps = { { identity } } }), {}
  run:start()
  for i = 1, 2000 * SCALE + 200 do
    local began = wait.now()
    run:push { value = "x", timestamp = i, partition = 0 }
    repeat run.engine:run(0) until run.engine:totals().produced == i
    times[i] = (wait.now() - began) * 1e9
  end
  run:free()
  table.sort(times)
  return { ["one message through an idle engine, the clock"] = times[math.ceil(#times / 2)] }
end

local input, loops
local function worker_jobs()
  if not input then
    local lines = {}
    local pipe = assert(io.popen "luajit scripts/bench/make_events.lua 1000 2>/dev/null")
    for line in pipe:lines() do lines[#lines + 1] = line end
    pipe:close()
    input, loops = block.new(lines), {}
    for _, name in ipairs { "identity", "view", "tables", "cjson" } do loops[name] = block.loop(jobs[name]) end
    for _, loop in pairs(loops) do for _ = 1, 50 do input:run(loop) end end
  end
  local result, runs = {}, math.ceil(100 * SCALE)
  for name, loop in pairs(loops) do
    collectgarbage()
    local began = os.clock()
    for _ = 1, runs do input:run(loop) end
    result["worker's loop, " .. name] = (os.clock() - began) / runs / 1000 * 1e9
  end
  return result
end

local function parts_in_c()
  local code, text, words = process.run { "build/micro", tostring(math.ceil(1000 * SCALE)) }
  assert(code == 0, words)
  return cjson.decode(text)
end

-- Reports that the sink has held back are given out at once: from the sink to the position of the partition.
local function reports()
  local count = 50000
  local run = assert(flow.new { partitions = 16, steps = { { identity } } })
  for i = 1, 1024 do run:push { value = ("x"):rep(200), timestamp = i, partition = i % 16 } end
  C.tide_memory_hold(run.sink, true)
  C.tide_memory_discard(run.sink)
  C.tide_memory_repeat(run.source, count)
  run:start()
  run:turn_until(function() return tonumber(C.tide_memory_count(run.sink)) == count end)
  C.tide_memory_hold(run.sink, false)
  local began = os.clock()
  repeat run.engine:run(0) until run.engine:totals().in_flight == 0
  local seconds = os.clock() - began
  run:free()
  return { ["delivery report, sink to position"] = seconds / count * 1e9 }
end

local MEASURES = { hop, hand_over, state, round_trip, worker_jobs, parts_in_c, reports }

local function measure()
  local lists = {}
  for round = 1, round_count do
    for _, one in ipairs(MEASURES) do
      for name, value in pairs(one()) do
        lists[name] = lists[name] or {}
        lists[name][round] = value
      end
    end
    figures.say("single costs: round %d of %d", round, round_count)
  end
  local result = {}
  for name, list in pairs(lists) do
    local of = figures.of(list)
    result[name] = { median = of.median, low = of.low, high = of.high }
  end
  return result
end

local function read_records()
  local file = io.open(FILE)
  if not file then return {} end
  local records = cjson.decode(file:read "*a")
  file:close()
  return records
end

-- The newest record of the same kind of machine.
local function record_of(records, host)
  for i = #records, 1, -1 do
    if records[i].processor == host.processor and records[i].cores == host.cores then return records[i], i end
  end
end

local function names_of(result)
  local names = {}
  for name in pairs(result) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- One line a figure, so that a change of the file can be read.
local function write_records(records)
  local file = assert(io.open(FILE, "w"))
  local parts = {}
  for i, record in ipairs(records) do
    local lines = {}
    for j, name in ipairs(names_of(record.figures)) do
      local one = record.figures[name]
      lines[j] = ('    "%s": {"median": %.1f, "low": %.1f, "high": %.1f}'):format(name, one.median, one.low, one.high)
    end
    parts[i] = ('{"commit": "%s", "processor": "%s", "cores": %d, "rounds": %d,\n  "figures": {\n%s\n  }}'):format(
      record.commit, record.processor, record.cores, record.rounds, table.concat(lines, ",\n"))
  end
  file:write("[", table.concat(parts, ",\n"), "]\n")
  file:close()
end

local function print_figures(result, record)
  print(("%-48s %10s %21s %10s"):format("ns, medians of " .. round_count, "now", "lowest to highest",
    record and record.commit:sub(1, 10) or "no record"))
  for _, name in ipairs(names_of(result)) do
    local one, before = result[name], record and record.figures[name]
    local change = before and one.median / before.median - 1
    print(("%-48s %10.1f %10.1f %10.1f %10s%s"):format(name, one.median, one.low, one.high,
      before and ("%.1f"):format(before.median) or "-",
      change and math.abs(change) > CHANGE and ("  %+.0f %%"):format(change * 100) or ""))
  end
end

local host, records = machine.describe(), read_records()
local record, index = record_of(records, host)
local result = measure()
print_figures(result, record)
figures.save("micro", { rounds = round_count, figures = result, record = record })
if (...) == "record" then
  records[index or #records + 1] = { commit = host.commit, processor = host.processor, cores = host.cores,
    rounds = round_count, figures = result }
  write_records(records)
  figures.say("recorded in %s", FILE)
end
