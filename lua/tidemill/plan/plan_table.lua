-- SPDX-License-Identifier: MIT
-- plan/plan_table.lua: turns a checked pipeline into plain tables with the fields of struct tide_plan (base/plan.h), in
-- which the command line can still replace parts: it makes the plan table. Constants of C are strings in it, their
-- names. Start reading at plan_table.new; plan/plan_struct.lua makes the struct of it.
local engines = require("tidemill.plan.engines")
local group = require("tidemill.plan.group")
local keyed = require("tidemill.plan.keyed")
local sizes = require("tidemill.plan.sizes")

local plan_table = {}

local function file_topic(path)
  return path == "-" and "stdin" or path:match("([^/]*)$")
end

local function no_dead_letters()
  return { kind = "TIDE_DLQ_NONE", max_invalid_ratio = -1, max_consecutive_count = -1 }
end

-- Returns a function by which a step adds its pool, or finds the one that it shares; it returns the index, from 0.
-- limits: of each worker of the pool, as of struct tide_worker_limits.
local function pool_adder(result)
  local pools = result.pools
  local index = {}
  return function(shared, processes, worker_limits)
    if shared and index[shared] then return index[shared] end
    local limits = sizes.processes(shared and shared.values.processes or processes, result.cores)
    pools[#pools + 1] = limits.max
    result.pools_begin[#pools], result.pool_limits[#pools] = limits.begin, limits
    result.worker_limits[#pools] = worker_limits
    if shared then index[shared] = #pools - 1 end
    return #pools - 1
  end
end

-- Brokers are given as "host:port,host:port"; two such texts mean one cluster when they have a broker in common. A
-- secret is not fetched for this: it equals only one from the same place.
local function one_cluster(brokers, others)
  if others == nil or brokers == others then return true end
  if type(brokers) ~= "string" or type(others) ~= "string" then return false end
  local known = {}
  for broker in brokers:gmatch("[^,%s]+") do known[broker] = true end
  for broker in others:gmatch("[^,%s]+") do
    if known[broker] then return true end
  end
  return false
end

-- Returns the topics that the pipeline writes to. No pattern may find them, even when a file replaces the sink.
local function written_topics(result)
  local topics = {}
  if result.source.medium ~= "TIDE_MEDIUM_KAFKA" then return topics end
  if result.sink.medium == "TIDE_MEDIUM_KAFKA" then
    for i, topic in ipairs(result.sink.topics) do topics[i] = topic end
  end
  if result.dlq.kind == "TIDE_DLQ_TOPIC" then topics[#topics + 1] = result.dlq.target end
  return topics
end

--- Returns the plan table of a pipeline that plan/pipeline_file.lua checked. count: how many engines run it (1).
function plan_table.new(pipeline, count)
  local result = {
    name = pipeline.name,
    engines = count or 1,
    cores = engines.cores(count or 1), -- the processors that this engine may take to be its own
    steps = {}, -- struct tide_step_plan
    topic_tables = {}, -- struct tide_table_plan
    functions = {}, -- by the number of a task step: what runs in its workers (run/transforms.lua)
    members = {}, -- by the same number: the steps of the pipeline that it stands for
    automatic = {}, -- by the number of such a step: which of its sizes are
    given_blocks = {}, -- and of which blocks the pipeline file gives the maximum
    pools = {},
    pools_begin = {}, -- processes at the start
    pool_limits = {}, -- the ranges of processes (plan/sizes.lua)
    worker_limits = {}, -- struct tide_worker_limits, of each pool
    source_properties = {},
    sink_properties = {},
    sink = { medium = "TIDE_MEDIUM_NONE" },
    dlq = no_dead_letters(),
    commit = { enabled = false },
    file_topic = file_topic,
  }
  result.pool = pool_adder(result)
  pipeline.settings.spec.plan(pipeline.settings.values, result)
  if result.memory_limit then result.memory_limit = math.floor(result.memory_limit / result.engines) end
  group.plan(pipeline.steps, result)
  sizes.latency(result)
  sizes.memory(result)
  -- A transaction must not stay open until its time-out because no more messages come.
  if result.exactly_once and result.commit.min_messages and result.commit.min_messages > 0
    and result.commit.min_time_us == 0 then
    result.commit.min_time_us = 1e6
  end
  if pipeline.dlq then pipeline.dlq.spec.plan(pipeline.dlq.values, result) end
  pipeline.reload.spec.plan(pipeline.reload.values, result)
  for _, item in ipairs(pipeline.tables or {}) do item.spec.plan(item.values, result) end
  local same = one_cluster(result.brokers, result.sink_brokers)
  result.source.own_topics, result.source.apart_topics = {}, {}
  result.source[same and "own_topics" or "apart_topics"] = written_topics(result)
  for _, side in ipairs { "source", "sink" } do result[side].timeout_us = result.broker_timeout_us end
  return result
end

-- A transaction takes results, dead letters and offsets of one Kafka, so there is none when something stands in for a
-- part of it.
local function replace_source(result, source)
  result.exactly_once = false
  source.timeout_us = result.broker_timeout_us
  result.source = source
end

-- Keeps the topics and limits of the sink before, where the new one names none.
local function replace_sink(result, sink)
  result.exactly_once = false
  sink.timeout_us = result.broker_timeout_us
  sink.topics = sink.topics or result.sink.topics or {}
  sink.max_messages = sink.max_messages or result.sink.max_messages or 100000
  sink.max_bytes = sink.max_bytes or result.sink.max_bytes or 64 * 2 ^ 20
  result.sink = sink
end

--- --input: lines of a file are read in place of the source; nothing is committed.
function plan_table.replace_input(result, path)
  replace_source(result, { medium = "TIDE_MEDIUM_FILE", path = path, topics = { file_topic(path) } })
  result.commit = { enabled = false }
end

--- --output: lines are written to a file in place of the sink.
function plan_table.replace_output(result, path, format)
  replace_sink(result, { medium = "TIDE_MEDIUM_FILE", path = path,
    format = format == "json" and "TIDE_OUTPUT_JSON" or "TIDE_OUTPUT_LINES" })
end

--- For tests: messages come from the test and results are kept for it; commits are immediate.
function plan_table.replace_by_memory(result, partitions)
  local topics = keyed.joins(result) and result.source.topics or { result.source.topics[1] }
  replace_source(result, { medium = "TIDE_MEDIUM_MEMORY", topics = topics, partitions = partitions })
  replace_sink(result, { medium = "TIDE_MEDIUM_MEMORY", max_messages = 1000000, max_bytes = 2 ^ 30 })
  keyed.forget(result)
  result.commit = { enabled = true, min_time_us = 0, min_messages = 0 }
end

--- tidemill record: the source alone is written to a file, from its start (`latest`: from its end) and in a group of
--- its own.
function plan_table.replace_by_recorder(result, path, latest)
  plan_table.replace_start(result)
  if latest then result.source.reset, result.source.start = "TIDE_RESET_LATEST", "TIDE_START_LATEST" end
  if result.source.group then result.source.group = result.source.group .. ".record-" .. os.time() end
  result.source.instance = nil
  replace_sink(result, { medium = "TIDE_MEDIUM_FILE", path = path, topics = {}, format = "TIDE_OUTPUT_RECORDED" })
  result.commit = { enabled = false }
  result.dlq = no_dead_letters()
  result.topic_tables = {}
end

-- A trial touches nothing that tells others of the pipeline: its health, say.
local function without_healthchecks(steps)
  for _, step in ipairs(steps) do
    if step.kind == "TIDE_STEP_HEALTHCHECK" then step.kind, step.path = "TIDE_STEP_NOOP", nil end
  end
end

--- tidemill tune: nothing is committed, and nothing goes where the pipeline writes. trial: partitions (messages come
--- from memory), or group and start (as types.lua has it: where a Kafka source begins in this group of its own); topic
--- (results go there; without it they are counted and discarded).
function plan_table.replace_for_trial(result, trial)
  if trial.partitions then
    replace_source(result, { medium = "TIDE_MEDIUM_MEMORY", topics = { result.source.topics[1] },
      partitions = trial.partitions })
  else
    result.source.group, result.source.instance = trial.group, nil
    -- An offset that a partition does not have is an error: the trials would read what nobody asked for.
    result.source.reset = trial.start.kind == "TIDE_START_OFFSET" and "TIDE_RESET_ERROR" or "TIDE_RESET_EARLIEST"
    result.source.start, result.source.start_at = trial.start.kind, trial.start.at
  end
  result.exactly_once = false
  result.commit = { enabled = false }
  result.dlq = no_dead_letters()
  result.dlq.kind, result.dlq.target = "TIDE_DLQ_FILE", "/dev/null"
  keyed.forget(result)
  without_healthchecks(result.steps)
  if trial.topic then
    result.sink.topics = { trial.topic }
    table.insert(result.source.own_topics or {}, trial.topic) -- no pattern of the source finds it
  elseif result.sink.medium ~= "TIDE_MEDIUM_NONE" then
    replace_sink(result, { medium = "TIDE_MEDIUM_MEMORY" })
  end
end

--- --dead-letters: a file takes the dead letters, within the limits of the pipeline.
function plan_table.replace_dead_letters(result, path)
  result.exactly_once = false
  result.dlq.kind, result.dlq.target = "TIDE_DLQ_FILE", path
end

--- --mock-kafka: there is only one cluster, whatever brokers the pipeline names.
function plan_table.replace_clusters(result)
  for _, topic in ipairs(result.source.apart_topics or {}) do table.insert(result.source.own_topics, topic) end
  result.source.apart_topics = {}
end

--- --mock-kafka: partitions are read from their start, since nothing was committed before.
function plan_table.replace_start(result)
  result.source.reset = "TIDE_RESET_EARLIEST"
  result.source.start, result.source.start_at = "TIDE_START_EARLIEST", 0
end

return plan_table
