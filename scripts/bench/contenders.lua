-- SPDX-License-Identifier: MIT
-- Who takes part in the benchmark, each a table:
--   name, title
--   filters   leaves debug events out         job      "identity", "json" (the output is checked by it)
--   markers   its output has transaction markers too, so that the ends of the topic do not count messages
--   digits    false: its JSON library writes integers of 19 digits with 14, which is known and passes the check
--   input     how much it reads: "full", "medium", "slow"
--   against   the bare loop that it is compared with (bare, or bare-drop for those that filter)
--   beside    another contender that it is compared with
--   peer      what `scripts/bench/peers.sh` makes ready for it; it is left out, with the reason, where that fails
--   settings  of a peer: what is tried once each; the best one takes part in the rounds. In the short form the first
--             one does, which was the best where this was written. { title, WORD = value ... }
-- command(job, setting) gives argv for job = { brokers, topic, out, group, read, kept, report, started }: read and kept
-- are how many messages it will read and how many its output has in the end. `read` and `seconds` (from the first
-- message to the last acknowledgement) are then found in the JSON object that the program prints, or writes to
-- job.report. It makes the file job.started when its first message comes, or writes what `begins` says to its standard
-- error when it begins to read: the processor time of its start is not counted.
local function bare(...)
  local more = { ... }
  return function(job)
    return { "build/bare_loop", job.brokers, job.topic, job.out, job.group, "started=" .. job.started, unpack(more) }
  end
end

-- With the linger of the bare loop, unless `more` says another: the last value of a --set counts.
local function tidemill(name, workers, delivery, ...)
  local more = { ... }
  return function(job)
    return {
      "build/tidemill", "run", "scripts/bench/pipeline.lua", "--set", "job=" .. name,
      "--set", "brokers=" .. job.brokers, "--set", "topic=" .. job.topic, "--set", "out=" .. job.out,
      "--set", "group=" .. job.group, "--set", "workers=" .. workers,
      "--set", "delivery=" .. (delivery or "at_least_once"), "--set", "linger=20",
      "--until-end", "--report", job.report,
      unpack(more),
    }
  end
end

-- What every peer is called with; then the setting, as name=value in the order of the names.
local function peer(...)
  local before = { ... }
  return function(job, setting)
    local argv, words = { unpack(before) }, {}
    for _, value in ipairs { job.brokers, job.topic, job.out, job.group, job.read, job.kept, job.started } do
      argv[#argv + 1] = tostring(value)
    end
    for name, value in pairs(setting) do
      if name ~= "title" then words[#words + 1] = name .. "=" .. tostring(value) end
    end
    table.sort(words)
    for _, word in ipairs(words) do argv[#argv + 1] = word end
    return argv
  end
end

local function java(job, setting)
  local place, collector = "build/peers/kafka_streams", "-XX:+Use" .. setting.collector .. "GC"
  return peer("java", "-Xms512m", "-Xmx512m", collector, "-cp", place .. ":" .. place .. "/*", "Job")(job, setting)
end

local list = {
  { name = "bare", title = "bare librdkafka loop in C", job = "identity", input = "full", command = bare() },
  { name = "bare-drop", title = "the same, leaving out the same messages", job = "identity", filters = true,
    input = "full", against = "bare", command = bare("drop") },
  { name = "bare-once", title = "the bare loop, in a transaction every 200 ms", job = "identity", input = "full",
    against = "bare", beside = "bare", markers = true, command = bare "transaction=200" },
  { name = "identity-1", title = "tidemill, identity, 1 worker", job = "identity", input = "full", against = "bare",
    command = tidemill("identity", 1) },
  { name = "identity-2", title = "tidemill, identity, 2 workers", job = "identity", input = "full", against = "bare",
    command = tidemill("identity", 2) },
  { name = "default-1", title = "tidemill, identity, 1 worker, its own linger of 5 ms", job = "identity",
    input = "full", against = "bare", beside = "identity-1",
    command = tidemill("identity", 1, nil, "--set", "linger=-1") },
  { name = "once-1", title = "tidemill, identity, 1 worker, exactly once", job = "identity", input = "full",
    against = "bare", beside = "identity-1", markers = true, command = tidemill("identity", 1, "exactly_once") },
  { name = "watched-2", title = "tidemill, identity, 2 workers, exporting and advising", job = "identity",
    input = "full", against = "bare", beside = "identity-2",
    command = tidemill("identity", 2, nil, "--metrics-addr", "0", "--statsd", "127.0.0.1:9") },
  { name = "view-1", title = "tidemill, JSON view job, 1 worker", job = "json", filters = true, input = "full",
    against = "bare-drop", command = tidemill("view", 1) },
  { name = "view-2", title = "tidemill, JSON view job, 2 workers", job = "json", filters = true, input = "full",
    against = "bare-drop", command = tidemill("view", 2) },
  { name = "view-once-2", title = "tidemill, JSON view job, 2 workers, exactly once", job = "json", filters = true,
    input = "full", against = "bare-drop", beside = "view-2", markers = true,
    command = tidemill("view", 2, "exactly_once") },
  { name = "tables-1", title = "tidemill, plain tables, 1 worker", job = "json", filters = true, input = "full",
    against = "bare-drop", command = tidemill("tables", 1) },
  { name = "tables-2", title = "tidemill, plain tables, 2 workers", job = "json", filters = true, input = "full",
    against = "bare-drop", command = tidemill("tables", 2) },
  { name = "cjson-2", title = "tidemill, lua-cjson, 2 workers", job = "json", filters = true, digits = false,
    input = "medium", against = "bare-drop", command = tidemill("cjson", 2) },
  { name = "kafka-streams", title = "Kafka Streams, Jackson", job = "json", filters = true, input = "full",
    against = "bare-drop", peer = "kafka_streams", command = java, settings = {
      { title = "1 thread, batches of 256 KiB, polls of 5,000", threads = 1, batch = 262144, poll = 5000,
        collector = "Parallel" },
      { title = "2 threads, batches of 256 KiB, polls of 5,000", threads = 2, batch = 262144, poll = 5000,
        collector = "Parallel" },
      { title = "2 threads, the same with the G1 collector", threads = 2, batch = 262144, poll = 5000,
        collector = "G1" },
      { title = "2 threads, its own sizes", threads = 2, batch = 16384, poll = 1000, collector = "Parallel" },
    } },
  { name = "bytewax", title = "Bytewax, orjson", job = "json", filters = true, input = "medium", against = "bare-drop",
    peer = "bytewax", command = peer("build/peers/bytewax/bin/python", "scripts/bench/bytewax/job.py"), settings = {
      { title = "2 processes, batches of 10,000", processes = 2, batch = 10000 },
      { title = "2 processes, batches of 1,000", processes = 2, batch = 1000 },
      { title = "1 process, batches of 10,000", processes = 1, batch = 10000 },
    } },
  { name = "quix", title = "Quix Streams, orjson", job = "json", filters = true, input = "slow", against = "bare-drop",
    peer = "quix", command = peer("build/peers/quix/bin/python", "scripts/bench/quix/job.py"), settings = {
      { title = "2 processes", processes = 2 },
      { title = "1 process", processes = 1 },
    } },
  { name = "benthos", title = "Benthos (the core of Redpanda Connect), Bloblang", job = "json", filters = true,
    input = "medium", against = "bare-drop", peer = "benthos", command = peer("build/peers/benthos/job"), settings = {
      { title = "2 threads, batches of 1,000", threads = 2, batch = 1000 },
      { title = "2 threads, batches of 5,000", threads = 2, batch = 5000 },
      { title = "4 threads, batches of 1,000", threads = 4, batch = 1000 },
    } },
  { name = "arroyo", title = "Arroyo, orjson", job = "json", filters = true, input = "slow", against = "bare-drop",
    peer = "arroyo", command = peer("build/peers/arroyo/bin/python", "scripts/bench/arroyo/job.py"), settings = {
      { title = "in the main process", processes = 0, batch = 1000 },
      { title = "1 process, batches of 1,000", processes = 1, batch = 1000 },
      { title = "2 processes, batches of 1,000", processes = 2, batch = 1000 },
      { title = "2 processes, batches of 10,000", processes = 2, batch = 10000 },
    } },
}

for _, contender in ipairs(list) do
  if contender.title:find "^tidemill" then contender.begins = "partitions assigned" end
end

return list
