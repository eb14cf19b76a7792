-- SPDX-License-Identifier: MIT
-- How tidemill scales: with workers that sleep and that compute, with large messages, with partitions, with the number
-- of messages; how long a start takes, and what a worker takes of memory. In process, without a Kafka, but for the part
-- `kafka`, which needs TIDE_KAFKA (scripts/bench/run.sh scaling starts one). Prints as it goes; the figures go to
-- build/bench/scaling.json.
--   BENCH_ONLY=sleeps,cpu,large,partitions,messages,start,memory,kafka   some of the parts
--   BENCH_LONG=1                                                         10^8 messages as well
local ffi = require "ffi"
local engine_runs = require "scripts.bench.engine_runs"
local figures = require "scripts.bench.figures"
local kafka_partitions = require "scripts.bench.kafka_partitions"
local process = require "spec.support.process"
local tree = require "scripts.bench.tree"
local wait = require "spec.support.wait"

pcall(ffi.cdef, "int usleep(unsigned microseconds);")

local quick, setting = figures.quick, figures.setting
local round_count = setting("ROUNDS", 5, 1)
local MIB = 2 ^ 20
local parts = {}

local function cores()
  local pipe = io.popen "nproc"
  local count = pipe:read "*n"
  pipe:close()
  return count
end

local function sleeping(message)
  ffi.C.usleep(1000)
  return message
end

local function computing(message)
  local sum = #message.value
  for i = 1, 50000 do sum = (sum * 31 + i) % 1000003 end
  message.value = tostring(sum)
  return message
end

local function identity(message) return message end

local function rewriting(message)
  message.value = message.value .. "."
  return message
end

-- Medians over rounds of measure(one) for each of a list, in turn.
local function in_turn(list, measure)
  local values = {}
  for round = 1, round_count do
    for i = 1, #list do
      local at = (round + i - 2) % #list + 1
      values[at] = values[at] or {}
      values[at][round] = measure(list[at])
    end
  end
  for i in ipairs(list) do values[i] = figures.of(values[i]) end
  return values
end

local function plain_sleeps()
  local began, count = wait.now(), setting("SLEEPS", 1000, 300)
  for _ = 1, count do ffi.C.usleep(1000) end
  return count / (wait.now() - began)
end

-- Rates of 1 to 64 workers that sleep 1 ms for each message, as shares of N times what a plain loop does.
function parts.sleeps()
  local counts, rows = quick and { 0, 1, 16, 64 } or { 0, 1, 2, 4, 8, 16, 32, 64 }, {}
  local seconds = setting("SECONDS", 4, 2)
  local rates = in_turn(counts, function(count)
    if count == 0 then return plain_sleeps() end
    return engine_runs.rate { fn = sleeping, processes = count, settle = 2, seconds = seconds, bytes = 100 }
  end)
  for i = 2, #counts do
    local rate = rates[i].median
    rows[i - 1] = { workers = counts[i], rate = rates[i], of_plain = rate / counts[i] / rates[1].median,
      of_one = rate / counts[i] / rates[2].median }
    print(("%3d workers asleep 1 ms: %8.0f/s, %.3f of linear; %.3f of as many plain loops"):format(counts[i], rate,
      rows[i - 1].of_one, rows[i - 1].of_plain))
  end
  return rows
end

-- Rates of workers that compute, up to twice the cores; more of them than cores cannot be faster.
function parts.cpu()
  local counts, rows, all = { 1 }, {}, cores()
  while counts[#counts] < 2 * all do counts[#counts + 1] = math.min(counts[#counts] * 2, 2 * all) end
  local rates = in_turn(counts, function(count)
    return engine_runs.rate { fn = computing, processes = count, settle = 1, seconds = setting("SECONDS", 4, 2),
      bytes = 100 }
  end)
  for i, count in ipairs(counts) do
    rows[i] = { workers = count, rate = rates[i],
      of_linear = rates[i].median / math.min(count, all) / rates[1].median }
    print(("%3d workers that compute, %d cores: %8.0f/s, %.3f of linear up to the cores"):format(count, all,
      rates[i].median, rows[i].of_linear))
  end
  return rows
end

-- GB/s of memcpy for messages of 1 MiB that are not in a cache.
local function memcpy_rate()
  local count, size = 64, MIB
  local from, to = ffi.new("char[?]", count * size), ffi.new("char[?]", count * size)
  ffi.fill(from, count * size, 1)
  ffi.fill(to, count * size, 2)
  local rounds = setting("COPIES", 40, 10)
  local began = wait.now()
  for round = 1, rounds do
    for i = 0, count - 1 do ffi.copy(to + (i + round) % count * size, from + i * size, size) end
  end
  return rounds * count * size / (wait.now() - began) / 1e9
end

function parts.large()
  local kinds = { { title = "memcpy" }, { title = "identity", fn = identity }, { title = "rewritten", fn = rewriting } }
  local rates = in_turn(kinds, function(kind)
    if not kind.fn then return memcpy_rate() end
    return engine_runs.rate { fn = kind.fn, processes = 1, settle = 1, seconds = setting("SECONDS", 4, 2), bytes = MIB,
      distinct = 32, input_block_size = 16 * MIB, output_block_size = 16 * MIB, max_batch_size = 16 } * MIB / 1e9
  end)
  local rows = {}
  for i, kind in ipairs(kinds) do
    rows[i] = { title = kind.title, gigabytes = rates[i], of_memcpy = rates[i].median / rates[1].median }
    print(("1 MiB messages, %-10s %6.2f GB/s, %.2f of memcpy"):format(kind.title, rates[i].median, rows[i].of_memcpy))
  end
  return rows
end

local function costs_of(list, measure)
  local rows = {}
  for round = 1, round_count do
    for i = 1, #list do
      local at = (round + i - 2) % #list + 1
      local cost = measure(list[at])
      rows[at] = rows[at] or { engine = {}, worker = {}, memory = {} }
      for name, values in pairs(rows[at]) do values[round] = cost[name] end
    end
  end
  for _, row in ipairs(rows) do
    for name, values in pairs(row) do row[name] = figures.of(values) end
  end
  return rows
end

local function print_costs(title, row)
  print(("%-24s engine %6.1f ns, worker %6.1f ns a message; %5.1f MiB in all"):format(title, row.engine.median,
    row.worker.median, row.memory.median / MIB))
end

function parts.partitions()
  local counts = quick and { 16, 4096 } or { 1, 16, 256, 4096 }
  local rows = costs_of(counts, function(count)
    return engine_runs.cost { fn = identity, partitions = count, messages = setting("MESSAGES", 3e6, 1e6) }
  end)
  for i, row in ipairs(rows) do
    row.partitions = counts[i]
    print_costs(("%d partitions"):format(counts[i]), row)
  end
  return rows
end

function parts.messages()
  local counts = quick and { 1e5, 1e6 } or { 1e5, 1e6, 1e7 }
  if os.getenv "BENCH_LONG" == "1" then counts[#counts + 1] = 1e8 end
  local rows = costs_of(counts, function(count)
    return engine_runs.cost { fn = identity, partitions = 16, messages = count }
  end)
  for i, row in ipairs(rows) do
    row.messages = counts[i]
    print_costs(("%.0e messages"):format(counts[i]), row)
  end
  return rows
end

-- From nothing to the first result, and the whole program with no input at all.
function parts.start()
  local rows, counts, runs = {}, quick and { 1, 64 } or { 1, 8, 64 }, setting("STARTS", 15, 5)
  for i, count in ipairs(counts) do
    local first, whole = {}, {}
    for run = 1, runs do
      first[run] = engine_runs.first_result(count) * 1000
      local began = wait.now()
      local code, _, words = process.run({ "build/tidemill", "run", "scripts/bench/tune/pipeline.lua", "--input",
        "/dev/null", "--output", "/dev/null" })
      whole[run] = (wait.now() - began) * 1000
      assert(code == 0, words)
    end
    rows[i] = { workers = count, first_result_ms = figures.of(first), program_ms = figures.of(whole) }
    print(("start with %2d workers: %6.1f ms to the first result"):format(count, rows[i].first_result_ms.median))
  end
  print(("the program from start to end, without input, 2 workers: %.1f ms"):format(rows[1].program_ms.median))
  return rows
end

function parts.memory()
  local counts, rows = { 1, 16, 64 }, {}
  for i, count in ipairs(counts) do
    local run = engine_runs.start { fn = identity, processes = count, partitions = 16 }
    engine_runs.turn(run, 2)
    local own = io.open("/proc/self/stat"):read "*n"
    local pids = tree.pids(own)
    local all = tree.memory(pids)
    table.remove(pids, 1)
    rows[i] = { workers = count, all = all, processes = tree.memory(pids) }
    run:free()
    local more = i > 1 and (all - rows[1].all) / (count - 1)
    rows[i].a_worker, rows[i].its_process = more, more and (rows[i].processes - rows[1].processes) / (count - 1)
    print(("%2d workers: %6.1f MiB in all%s"):format(count, all / MIB, not more and "" or
      (", %.2f MiB for each one more, of which its process %.2f"):format(more / MIB, rows[i].its_process / MIB)))
  end
  return rows
end

parts.kafka = kafka_partitions

local ORDER = {}
for i, name in ipairs { "sleeps", "cpu", "large", "partitions", "messages", "start", "memory", "kafka" } do
  ORDER[i] = { name = name }
end

local function main()
  local results, began = { rounds = round_count, cores = cores() }, os.time()
  figures.say("scaling: about %d minutes", quick and 2 or 12)
  for _, one in ipairs(figures.chosen(ORDER)) do
    if one.name ~= "kafka" or os.getenv "TIDE_KAFKA" then results[one.name] = parts[one.name]() end
    collectgarbage() -- what this part had is not to count as memory of the next
    collectgarbage()
    io.stdout:flush()
  end
  figures.save("scaling", results)
  figures.say("scaling took %.1f minutes", (os.time() - began) / 60)
end

figures.run(main)
