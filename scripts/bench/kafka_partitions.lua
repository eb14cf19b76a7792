-- SPDX-License-Identifier: MIT
-- The part `kafka` of scripts/bench/scaling.lua: one member of a group that is assigned 10,000 partitions of a real
-- Kafka, against one that has 16, both with the same messages; results go to /dev/null.
local cjson = require "cjson"
local figures = require "scripts.bench.figures"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local tree = require "scripts.bench.tree"
local wait = require "spec.support.wait"

local LIMIT_S, STEP = 600, 1000
local COUNTS = { 16, figures.setting("PARTITIONS", 10000, 2000) }
local MESSAGES = figures.setting("PARTITION_MESSAGES", 1000000, 200000)

-- A broker makes some thousand partitions at once, but not within the time that a client waits for.
local function topic_of(partitions)
  local topic = kafka.topic(math.min(partitions, STEP))
  for total = 2 * STEP, partitions, STEP do kafka.add_partitions(topic, total) end
  local command = ("luajit scripts/bench/make_events.lua %d 2>/dev/null | build/kafka_tool %s fill %s"):format(MESSAGES,
    kafka.bootstrap(), topic)
  local code, _, words = process.run({ "sh", "-c", command }, { timeout = LIMIT_S })
  if code ~= 0 then error(words) end
  return topic
end

local function measure(topic)
  local report, began = os.tmpname(), wait.now()
  local run = process.start { "build/tidemill", "run", "scripts/bench/pipeline.lua", "--set", "job=identity",
    "--set", "brokers=" .. kafka.bootstrap(), "--set", "topic=" .. topic, "--set", "out=unused",
    "--set", "group=" .. kafka.group(), "--set", "workers=1", "--output", "/dev/null", "--until-end",
    "--report", report }
  local meter = tree.meter(run:pid())
  while run:running() and wait.now() - began < LIMIT_S do
    meter:sample()
    wait.pause(20)
  end
  local code = run:code()
  run:stop()
  if code ~= 0 then error(("code %s\n%s"):format(code or "none, stopped", run:stderr():sub(-2000))) end
  local file = io.open(report)
  local result = cjson.decode(file:read "*a")
  file:close()
  os.remove(report)
  local cpu, memory = meter:totals()
  if result.read ~= MESSAGES then error(("read %d of %d"):format(result.read, MESSAGES)) end
  return { rate = result.read / result.seconds, cpu_us = cpu / result.read * 1e6, memory = memory,
    whole_seconds = wait.now() - began }
end

return function()
  local rows, topics = {}, {}
  for i, count in ipairs(COUNTS) do
    figures.say("making a topic of %d partitions with %d messages", count, MESSAGES)
    topics[i] = topic_of(count)
  end
  for i, count in ipairs(COUNTS) do
    rows[i] = { partitions = count, rate = {}, cpu_us = {}, memory = {}, whole_seconds = {} }
  end
  for round = 1, figures.setting("ROUNDS", 3, 1) do
    for i in ipairs(COUNTS) do
      for name, value in pairs(measure(topics[i])) do rows[i][name][round] = value end
    end
  end
  for i, row in ipairs(rows) do
    for name, values in pairs(row) do
      if name ~= "partitions" then row[name] = figures.of(values) end
    end
    print(("%5d partitions of a Kafka: %.1f s from start to end, of which %.0f messages/s; %.2f us of processor a "
      .. "message, %.0f MiB"):format(COUNTS[i], row.whole_seconds.median, row.rate.median, row.cpu_us.median,
      row.memory.median / 2 ^ 20))
  end
  return rows
end
