-- SPDX-License-Identifier: MIT
-- A state of ten million keys with values of 100 bytes on the Kafka that TIDE_KAFKA names: how fast it is filled and
-- changed, in which memory, how long a restart takes until the first result, and how fast a state_dir that is lost is
-- restored. Keys come in an order that is random. Figures go to build/bench/keys.json.
--   BENCH_KEYS, BENCH_CHANGES, BENCH_FOLDER (build/bench: where state_dir is made)
local cjson = require "cjson"
local ffi = require "ffi"
local figures = require "scripts.bench.figures"
local inputs = require "scripts.bench.inputs"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local tree = require "scripts.bench.tree"
local wait = require "spec.support.wait"

local say, setting = figures.say, figures.setting
local KEYS = setting("KEYS", 10000000, 200000)
local CHANGES = setting("CHANGES", 2000000, 50000)
local FEW, LIMIT_S, MIB = 1000, 900, 2 ^ 20
local KINDS = { "RssAnon", "RssShmem", "RssFile" }

local job

local function fill(seed, count)
  local command = ("luajit scripts/bench/make_keys.lua %d %d %d | build/kafka_tool %s fill %s keys"):format(KEYS, seed,
    count, kafka.bootstrap(), job.topic)
  local code, _, words = process.run({ "sh", "-c", command }, { timeout = LIMIT_S })
  if code ~= 0 then error(words) end
end

local function start(...)
  local argv = { "build/tidemill", "run", "scripts/bench/state_pipeline.lua", ... }
  for _, one in ipairs { "job=last", "brokers=" .. kafka.bootstrap(), "topic=" .. job.topic, "out=" .. job.out,
    "group=" .. job.group, "instance=one", "state=" .. job.state } do
    argv[#argv + 1] = "--set"
    argv[#argv + 1] = one
  end
  return process.start(argv)
end

-- Notes the highest of each kind of memory of the engine, and of the rest (zygote and workers, PSS), in bytes.
local function sample(pid, peaks)
  local text = tree.read(("/proc/%d/status"):format(pid)) or ""
  for _, kind in ipairs(KINDS) do
    local bytes = (tonumber(text:match(kind .. ":%s+(%d+)")) or 0) * 1024
    peaks[kind] = math.max(peaks[kind] or 0, bytes)
  end
  local pids = tree.pids(pid)
  table.remove(pids, 1)
  peaks.workers = math.max(peaks.workers or 0, tree.memory(pids))
end

local function await(run, peaks, done)
  local began = wait.now()
  while not done() do
    if wait.now() - began > LIMIT_S then error("no end: " .. run:stderr():sub(-2000)) end
    sample(run:pid(), peaks)
    wait.pause(50)
  end
  return wait.now() - began
end

local function size_of_state()
  local pipe = io.popen(("du -sk '%s'"):format(job.state))
  local kilobytes = pipe:read "*n"
  pipe:close()
  return kilobytes * 1024
end

-- Reads all that is there: { rate, cpu_us, peaks }.
local function through(count)
  local report, peaks = os.tmpname(), {}
  local run = start("--until-end", "--report", report)
  local meter = tree.meter(run:pid())
  await(run, peaks, function()
    meter:sample()
    return not run:running()
  end)
  if run:code() ~= 0 then error(run:stderr():sub(-2000)) end
  local file = io.open(report)
  local result = cjson.decode(file:read "*a")
  file:close()
  os.remove(report)
  if result.read ~= count then error(("read %d of %d"):format(result.read, count)) end
  return { rate = count / result.seconds, cpu_us = meter:totals() / count * 1e6, peaks = peaks }
end

-- Some changes more, then a start: seconds until the first result is there, of which `restore_s` are the restoring. It
-- is killed once as many results are there, of which some may be of messages that the one before has left. The last one
-- has them all.
local function restart(seed, is_last)
  local before = inputs.count(job.out)
  fill(seed, FEW)
  local peaks = {}
  local began = wait.now()
  local run = start()
  await(run, peaks, function() return inputs.count(job.out) > before or not run:running() end)
  local seconds = wait.now() - began
  if not run:running() then error(run:stderr():sub(-2000)) end
  local records, restore_s
  await(run, peaks, function() -- results may come before the last partition is restored
    records, restore_s = run:stderr():match "are restored: (%d+) records in ([%d.]+) s"
    return records and inputs.count(job.out) >= before + FEW
  end)
  if is_last then inputs.wait_committed(job.group, job.topic) end
  run:signal "KILL"
  run:wait(10)
  return { first_s = seconds, restored = tonumber(records), restore_s = tonumber(restore_s), peaks = peaks }
end

-- What the results are that the fills of these seeds must have, as a sum: each is the value that its key had before,
-- and that has the seed of the fill in which the key came last.
local function wanted_sum(fills)
  local newest, sum = ffi.new("uint8_t[?]", KEYS), 0
  ffi.fill(newest, KEYS, 1)
  for _, one in ipairs(fills) do
    local pipe = io.popen(("luajit scripts/bench/make_keys.lua %d %d %d"):format(KEYS, one.seed, one.count))
    for line in pipe:lines() do
      local key = tonumber(line:match "^key%-(%d+)")
      sum, newest[key] = sum + newest[key], one.seed
    end
    pipe:close()
  end
  return sum
end

-- What was read again after a kill has given the same result twice.
local function check(fills)
  local command = ("build/kafka_tool %s consume %s"):format(kafka.bootstrap(), job.out)
  local pipe, seen, sum, rest = io.popen(command), ffi.new("uint8_t[?]", KEYS), 0, ""
  for text in function() return pipe:read(2 ^ 20) end do
    text = rest .. text
    local from = 1
    while true do
      local _, to, key, same, seed = text:find(":key%-(%d+),%d+:key%-(%d+) (%d+) ", from)
      if not to then break end
      if key ~= same then error(("key %s has the value of %s"):format(key, same)) end
      local place, number = tonumber(key), tonumber(seed)
      local mark = bit.lshift(1, number)
      if bit.band(seen[place], mark) == 0 then sum = sum + number end
      seen[place], from = bit.bor(seen[place], mark), to + 1
    end
    rest = text:sub(math.max(from, #text - 200))
  end
  pipe:close()
  local wanted = wanted_sum(fills)
  if sum ~= wanted then error(("the results have %d in all, not %d"):format(sum, wanted)) end
end

local function show(title, result)
  local words = {}
  for _, kind in ipairs(KINDS) do words[#words + 1] = ("%s %.0f"):format(kind, result.peaks[kind] / MIB) end
  print(("%-28s %s; %s, zygote and workers %.0f MiB"):format(title, result.rate
    and ("%.0f/s, %.2f us of processor"):format(result.rate, result.cpu_us)
    or ("%.2f s to the first result; %d records restored in %.2f s"):format(result.first_s, result.restored,
      result.restore_s), table.concat(words, " "), result.peaks.workers / MIB))
end

local function main()
  job = { topic = kafka.topic(inputs.PARTITIONS), out = kafka.topic(inputs.PARTITIONS), group = kafka.group() }
  job.state = (os.getenv "BENCH_FOLDER" or "build/bench") .. "/state-" .. job.group
  os.execute "mkdir -p build/bench"
  local results = { keys = KEYS, changes = CHANGES, partitions = inputs.PARTITIONS }
  local function note(name, title, result)
    results[name] = result
    show(title, result)
  end
  say("writing %d keys", KEYS)
  fill(1, KEYS)
  say "begins"
  note("filled", "filled", through(KEYS))
  results.bytes = size_of_state()
  print(("state_dir has %.0f MiB"):format(results.bytes / MIB))
  fill(2, CHANGES)
  note("changed", "changed", through(CHANGES))
  results.bytes_changed = size_of_state()
  print(("state_dir has %.0f MiB"):format(results.bytes_changed / MIB))
  note("ended", "started after an end", restart(3))
  note("killed", "started after kill -9", restart(4))
  os.execute(("rm -rf '%s'"):format(job.state))
  note("lost", "started without state_dir", restart(5, true))
  local fills = { { seed = 2, count = CHANGES } }
  for seed = 3, 5 do fills[#fills + 1] = { seed = seed, count = FEW } end
  check(fills)
  figures.save("keys", results)
end

figures.run(main, "keys", function()
  if job then os.execute(("rm -rf '%s'"):format(job.state)) end
end)
