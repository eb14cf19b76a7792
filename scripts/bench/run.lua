-- SPDX-License-Identifier: MIT
-- Runs the contenders in turn on the Kafka that TIDE_KAFKA names, several rounds, and prints medians as a table; all
-- figures go to build/bench.json. scripts/bench/run.sh prepares everything and tells the variables.
local cjson = require "cjson"
local contenders = require "scripts.bench.contenders"
local machine = require "scripts.bench.machine"
local median = require "scripts.bench.median"
local tree = require "scripts.bench.tree"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PARTITIONS = 16
local RUN_LIMIT_S = 600
local RESULTS = "build/bench.json"

local function setting(name, full, quick)
  return tonumber(os.getenv("BENCH_" .. name)) or (os.getenv("BENCH_QUICK") == "1" and quick or full)
end

local rounds = setting("ROUNDS", 5, 3)
local messages = setting("MESSAGES", 2000000, 300000)
local slow_messages = setting("ARROYO_MESSAGES", 100000, 50000)

local function say(...)
  io.stderr:write("bench: ", string.format(...), "\n")
end

local function sum(offsets)
  local total = 0
  for _, offset in pairs(offsets) do
    total = total + offset
  end
  return total
end

-- A topic with `count` events: { topic, count, debugs }.
local function fill(count)
  say("writing %d events", count)
  local topic = kafka.topic(PARTITIONS)
  local command = ("luajit scripts/bench/make_events.lua %d | build/kafka_tool %s fill %s")
    :format(count, kafka.bootstrap(), topic)
  local code, _, words = process.run({ "sh", "-c", command }, { timeout = RUN_LIMIT_S })
  local total = sum((kafka.ends(topic)))
  if code ~= 0 or total ~= count then error(("%d of %d events arrived: %s"):format(total, count, words)) end
  return { topic = topic, count = count, debugs = tonumber(words:match("(%d+) of them debug")) }
end

local function result_of(run, job)
  local file = io.open(job.report, "r")
  local text = file and file:read("*a") or run:stdout():match("[^\n]*\n$")
  if file then file:close() end
  os.remove(job.report)
  return cjson.decode(text)
end

-- Runs one contender once, checks that every message is accounted for: { rate, cpu_us, memory }.
local function measure(contender, input)
  local job = { brokers = kafka.bootstrap(), topic = input.topic, out = kafka.topic(PARTITIONS), group = kafka.group() }
  job.report = os.tmpname()
  os.remove(job.report)
  local run = process.start(contender.command(job))
  local meter, deadline = tree.meter(run:pid()), wait.now() + RUN_LIMIT_S
  while run:running() and wait.now() < deadline do
    meter:sample()
    wait.pause(20)
  end
  local code = run:code()
  run:stop()
  if code ~= 0 then error(("%s: code %s\n%s"):format(contender.name, code or "none, stopped", run:stderr())) end
  local result = result_of(run, job)
  local produced = contender.markers and result.produced or sum((kafka.ends(job.out)))
  kafka.delete_topic(job.out)
  local expected = input.count - (contender.filters and input.debugs or 0)
  if result.read ~= input.count or produced ~= expected then
    error(("%s: read %s of %d, produced %d of %d"):format(contender.name, result.read, input.count, produced, expected))
  end
  local cpu, memory = meter:totals()
  return { rate = result.read / result.seconds, cpu_us = cpu / result.read * 1e6, memory = memory }
end

local function chosen()
  local only = os.getenv("BENCH_ONLY")
  if not only then return contenders end
  local list = {}
  for _, contender in ipairs(contenders) do
    if ("," .. only .. ","):find("," .. contender.name .. ",", 1, true) then list[#list + 1] = contender end
  end
  return list
end

-- { name = { rate = {one a round}, cpu_us = {...}, memory = {...} } }; who begins moves on from round to round.
local function run_rounds(list, inputs)
  local figures = {}
  for _, contender in ipairs(list) do
    figures[contender.name] = { rate = {}, cpu_us = {}, memory = {} }
  end
  for round = 1, rounds do
    for i = 1, #list do
      local contender = list[(round + i - 2) % #list + 1]
      local result = measure(contender, contender.slow and inputs.slow or inputs.full)
      say("round %d of %d: %-12s %9.0f messages/s", round, rounds, contender.name, result.rate)
      for what, value in pairs(result) do
        figures[contender.name][what][round] = value
      end
    end
  end
  return figures
end

-- The median over the rounds of what this one did in a round against another in the same round.
local function ratio_to(figures, name, other)
  if not figures[other] then return nil end
  local ratios = {}
  for round, rate in ipairs(figures[name].rate) do
    ratios[round] = rate / figures[other].rate[round]
  end
  return median(ratios)
end

local function summarize(list, figures)
  local results = {}
  for i, contender in ipairs(list) do
    local mine = figures[contender.name]
    results[i] = {
      name = contender.name,
      title = contender.title,
      messages = contender.slow and slow_messages or messages,
      messages_per_second = median(mine.rate),
      cpu_us_per_message = median(mine.cpu_us),
      peak_memory_bytes = median(mine.memory),
      ratio_to_bare = ratio_to(figures, contender.name, "bare"),
      beside = contender.beside,
      ratio_beside = contender.beside and ratio_to(figures, contender.name, contender.beside),
      rounds = mine,
    }
  end
  return results
end

local function print_table(results, host)
  local about = host.versions
  print(("%s, %d cores, %d GiB, %s"):format(host.processor, host.cores, host.memory_gib, host.kernel))
  print(("Kafka %s on the same machine, librdkafka %s, %s, Arroyo %s; tidemill %s"):format(about.kafka,
    about.librdkafka, about.luajit, about.arroyo, host.commit))
  print(("%d messages of about 270 bytes, %d partitions, medians of %d rounds in turn\n"):format(messages, PARTITIONS,
    rounds))
  print(("%-34s %12s %16s %14s %8s"):format("", "messages/s", "CPU us/message", "peak memory", "of bare"))
  for _, result in ipairs(results) do
    print(("%-34s %12.0f %16.2f %10.0f MiB %8s"):format(result.title, result.messages_per_second,
      result.cpu_us_per_message, result.peak_memory_bytes / 2 ^ 20,
      result.ratio_to_bare and ("%.3f"):format(result.ratio_to_bare) or "-"))
  end
  for _, result in ipairs(results) do
    if result.ratio_beside then
      print(("\n%s (%s): %.3f of %s"):format(result.title, result.name, result.ratio_beside, result.beside))
    end
  end
  print("\nMessages are those read; memory is PSS, so shared pages count once; \"of bare\" is the median of the\n"
    .. ("ratios within a round. Arroyo gets %d messages."):format(slow_messages))
end

local function main()
  local list = chosen()
  local inputs = { full = fill(messages) }
  for _, contender in ipairs(list) do
    if contender.slow and not inputs.slow then inputs.slow = fill(slow_messages) end
  end
  say("warming the broker")
  measure(contenders[1], inputs.full)
  local host = machine.describe()
  local results = summarize(list, run_rounds(list, inputs))
  print_table(results, host)
  local file = assert(io.open(RESULTS, "w"))
  file:write(cjson.encode { machine = host, rounds = rounds, partitions = PARTITIONS, results = results }, "\n")
  file:close()
  say("all figures are in %s", RESULTS)
end

local ok, reason = xpcall(main, debug.traceback)
process.stop_all()
if not ok then
  say("%s", reason)
  os.exit(70)
end
