-- SPDX-License-Identifier: MIT
-- Who takes part in scripts/bench/state.lua, as in contenders.lua, and besides:
--   counts(job, result, whole)   checks the output, with `whole` all of it, and deletes what the run has left
--   read                         how much it reads of the input, where that is not all
-- Those that count write a result for each message (Kafka Streams, whose cache takes several together: for some).
local figures = require "scripts.bench.figures"
local inputs = require "scripts.bench.inputs"
local kafka = require "spec.support.kafka"

local counters = { KEYS = figures.setting("KEYS", 160000, 20000),
  READ = figures.setting("PEER_MESSAGES", 2000000, 150000) } -- of the peers ...
counters.WARM = math.floor(counters.READ / 4) -- ... and of these so many do not count

local READ, WARM = counters.READ, counters.WARM
local FIELD = "11:(user%-%d+),%d+:(%d+),"

--- The newest counts of all keys, as one sum, in what kafka_tool has written of records whose keys are user-NNNNNN.
function counters.sum(pipe)
  local newest, rest, sum = {}, "", 0
  for text in function() return pipe:read(2 ^ 20) end do
    text = rest .. text
    local from, last = 1, 1
    while true do
      local _, to, key, count = text:find(FIELD, from)
      if not to then break end
      from, last = to + 1, to + 1
      newest[key] = math.max(newest[key] or 0, tonumber(count))
    end
    rest = text:sub(math.max(last, #text - 200))
  end
  for _, count in pairs(newest) do sum = sum + count end
  return sum
end

local function check_sum(job, all)
  local pipe = assert(io.popen(("build/kafka_tool %s consume %s"):format(kafka.bootstrap(), job.out)))
  local sum = counters.sum(pipe)
  pipe:close()
  if sum ~= all then error(("%s: the counts are %d together, of %d messages"):format(job.out, sum, all)) end
end

local function own_counts(job, result, whole)
  os.execute(("rm -rf '%s.state'"):format(job.report))
  kafka.delete_topic(job.group .. ".counts.changelog")
  local produced = inputs.count(job.out)
  if result.read ~= job.read or produced ~= job.read then
    error(("read %d of %d, produced %d"):format(result.read, job.read, produced))
  end
  if whole then check_sum(job, result.read) end
end

local function peer_counts(job, result, whole)
  kafka.delete_topic(job.group .. "-counts-changelog")
  if whole then check_sum(job, result.all) end
end

local function run(pipeline, job, ...)
  local argv = { "build/tidemill", "run", "scripts/bench/" .. pipeline, "--until-end", "--report", job.report }
  for _, setting in ipairs { "brokers=" .. job.brokers, "topic=" .. job.topic, "out=" .. job.out,
    "group=" .. job.group, "workers=2", ... } do
    argv[#argv + 1] = "--set"
    argv[#argv + 1] = setting
  end
  return argv
end

local function streams(store, cache)
  return function(job)
    local place = "build/peers/kafka_streams"
    return { "java", "-Xms512m", "-Xmx512m", "-XX:+UseParallelGC", "-cp", place .. ":" .. place .. "/*", "Job",
      job.brokers, job.topic, job.out, job.group, tostring(job.read), "0", job.started, "threads=2", "batch=262144",
      "poll=5000", "store=" .. store, "cache=" .. cache, "warm=" .. WARM }
  end
end

local MIB = 2 ^ 20

counters.list = {
  { name = "counts-2", title = "tidemill, count per key, 2 workers", input = "keyed", begins = "partitions assigned",
    counts = own_counts, command = function(job)
      return run("state_pipeline.lua", job, "state=" .. job.report .. ".state")
    end },
  { name = "view-2", title = "tidemill, JSON view job without state, 2 workers", input = "keyed", filters = true,
    begins = "partitions assigned", command = function(job)
      return run("pipeline.lua", job, "job=view", "linger=20")
    end },
  { name = "rocksdb", title = "Kafka Streams, count per key, RocksDB", input = "keyed", peer = "kafka_streams",
    read = READ, counts = peer_counts, command = streams("rocksdb", 10 * MIB) },
  { name = "rocksdb-64", title = "the same with a cache of 64 MiB", input = "keyed",
    peer = "kafka_streams", read = READ, counts = peer_counts, command = streams("rocksdb", 64 * MIB) },
  { name = "memory", title = "Kafka Streams, count per key, its store in memory", input = "keyed",
    peer = "kafka_streams", read = READ, counts = peer_counts, command = streams("memory", 10 * MIB) },
}

return counters
