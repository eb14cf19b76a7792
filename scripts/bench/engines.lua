-- SPDX-License-Identifier: MIT
-- One engine against two under one supervisor, with the same number of workers in all, in turn on the same topic of the
-- Kafka that TIDE_KAFKA names: throughput, processor time a message of each part, memory of an engine. From the parts
-- it predicts what other numbers of processors and engines give (docs/scaling.md has the model).
--   export TIDE_KAFKA=$(scripts/dev/kafka.sh start DIR)
--   LUA_PATH="./lua/?.lua;./lua/?/init.lua;./?.lua;;" luajit scripts/bench/engines.lua
--   BENCH_MESSAGES (1000000)      BENCH_ROUNDS (5)      BENCH_JOB=view, identity or cjson of jobs.lua (view)
--   BENCH_WORKERS (2), in all     BENCH_COUNTS=1,2      numbers of engines
--   BENCH_PREFIX="taskset -c 0"   what stands before the command, to limit it
local cjson = require "cjson"
local kafka = require "spec.support.kafka"
local machine = require "scripts.bench.machine"
local median = require "scripts.bench.median"
local process = require "spec.support.process"
local threads = require "scripts.bench.threads"
local wait = require "spec.support.wait"

local PARTITIONS = 16
local LIMIT_S = 600

local function setting(name, default)
  return tonumber(os.getenv("BENCH_" .. name)) or default
end

local messages, rounds, workers = setting("MESSAGES", 1000000), setting("ROUNDS", 5), setting("WORKERS", 2)
local job = os.getenv "BENCH_JOB" or "view"
local prefix = {}
for word in (os.getenv "BENCH_PREFIX" or ""):gmatch "%S+" do prefix[#prefix + 1] = word end

local function say(...)
  io.stderr:write("bench: ", string.format(...), "\n")
end

local function fill()
  local topic = kafka.topic(PARTITIONS)
  local command = ("luajit scripts/bench/make_events.lua %d | build/kafka_tool %s fill %s"):format(messages,
    kafka.bootstrap(), topic)
  local code, _, words = process.run({ "sh", "-c", command }, { timeout = LIMIT_S })
  assert(code == 0, words)
  return topic
end

local function command_of(topic, out, count, report)
  local list = { unpack(prefix) }
  for _, word in ipairs { "build/tidemill", "run", "scripts/bench/pipeline.lua", "--set", "job=" .. job, "--set",
    "brokers=" .. kafka.bootstrap(), "--set", "topic=" .. topic, "--set", "out=" .. out, "--set",
    "group=" .. kafka.group(), "--set", ("workers=%d"):format(math.max(1, math.floor(workers / count))), "--until-end",
    "--report", report, "--log-level", "warn" } do list[#list + 1] = word end
  if count > 1 then
    list[#list + 1] = "--engines"
    list[#list + 1] = tostring(count)
  end
  return list
end

-- The process that the command became: a prefix may leave a process of its own before it.
local function measure(topic, count)
  local out, report = kafka.topic(PARTITIONS), os.tmpname()
  local run = process.start(command_of(topic, out, count, report))
  local meter, deadline = threads.meter(run:pid(), count > 1), wait.now() + LIMIT_S
  while run:running() and wait.now() < deadline do
    meter:sample()
    wait.pause(50)
  end
  local code, words = run:code(), run:stderr()
  run:stop()
  assert(code == 0, words)
  local file = assert(io.open(report))
  local read = cjson.decode(file:read "*a")
  file:close()
  os.remove(report)
  kafka.delete_topic(out)
  assert(read.read >= messages, ("read %d of %d"):format(read.read, messages))
  local cpu, busiest, engine, supervisor = meter:totals()
  local result = { rate = read.read / read.seconds, busiest = busiest / read.read * 1e6, cpu = 0,
    engine_memory = engine / 2 ^ 20, supervisor_memory = supervisor / 2 ^ 20 }
  for part, seconds in pairs(cpu) do
    result[part] = seconds / read.read * 1e6
    result.cpu = result.cpu + result[part]
  end
  return result
end

local COLUMNS = { { "rate", "messages/s", "%12.0f" }, { "cpu", "CPU us", "%8.2f" }, { "engine", "engine", "%8.2f" },
  { "librdkafka", "rdkafka", "%8.2f" }, { "busiest", "busiest", "%8.2f" }, { "worker", "worker", "%8.2f" },
  { "supervisor", "superv.", "%8.3f" }, { "engine_memory", "MiB each", "%9.1f" },
  { "supervisor_memory", "+ MiB", "%7.1f" } }

local function medians(figures)
  local row = {}
  for _, column in ipairs(COLUMNS) do
    local list = {}
    for i, one in ipairs(figures) do list[i] = one[column[1]] end
    row[column[1]] = median(list)
  end
  return row
end

local function print_row(title, row)
  local parts = { ("%-10s"):format(title) }
  for i, column in ipairs(COLUMNS) do parts[i + 1] = column[3]:format(row[column[1]]) end
  print(table.concat(parts))
end

-- docs/scaling.md: the least of what the engines' threads, those of librdkafka, the workers and the processors allow.
local function predicted(cost, cores, engines, workers_each)
  return 1e6 * math.min(engines / cost.engine, engines / cost.busiest, engines * workers_each / cost.worker,
    cores / cost.cpu)
end

local function print_prediction(cost)
  print("\nPredicted messages/s by processors (for tidemill alone) and engines, as many workers as are needed:\n")
  local counts = { 1, 2, 4, 8 }
  print(("%-10s"):format "cores" .. ("%12d"):rep(#counts):format(unpack(counts)))
  for _, cores in ipairs { 0.5, 1, 2, 4, 8, 16, 32 } do
    local parts = { ("%-10g"):format(cores) }
    for _, engines in ipairs(counts) do
      parts[#parts + 1] = ("%12.0f"):format(predicted(cost, cores, engines, 16))
    end
    print(table.concat(parts))
  end
end

local function main()
  local counts, figures = {}, {}
  for count in (os.getenv "BENCH_COUNTS" or "1,2"):gmatch "%d+" do counts[#counts + 1] = tonumber(count) end
  say("writing %d events", messages)
  local topic = fill()
  measure(topic, counts[1]) -- warms the broker
  for _, count in ipairs(counts) do figures[count] = {} end
  for round = 1, rounds do
    for i = 1, #counts do
      local count = counts[(round + i - 2) % #counts + 1]
      figures[count][round] = measure(topic, count)
      say("round %d of %d: %d engines %9.0f messages/s", round, rounds, count, figures[count][round].rate)
    end
  end
  local host = machine.describe()
  print(("%s, %d cores, commit %s; %s job, %d messages, %d workers in all, medians of %d rounds in turn%s"):format(
    host.processor, host.cores, host.commit, job, messages, workers, rounds,
    #prefix > 0 and ", " .. table.concat(prefix, " ") or ""))
  local titles = { ("%-10s"):format "engines" }
  for i, column in ipairs(COLUMNS) do
    titles[i + 1] = ("%" .. column[3]:match "%%(%d+)" .. "s"):format(column[2])
  end
  print(table.concat(titles))
  for _, count in ipairs(counts) do print_row(tostring(count), medians(figures[count])) end
  for _, count in ipairs(counts) do
    local ratios = {}
    for round = 1, rounds do ratios[round] = figures[count][round].rate / figures[counts[1]][round].rate end
    if count ~= counts[1] then
      print(("%d engines / %d: %.3f (median of the ratios within a round)"):format(count, counts[1], median(ratios)))
    end
  end
  print("CPU is microseconds a message, by part; busiest: of the busiest thread of librdkafka; memory is PSS.")
  print_prediction(medians(figures[counts[1]]))
end

local done, reason = xpcall(main, debug.traceback)
process.stop_all()
if not done then
  say("%s", reason)
  os.exit(70)
end
