-- SPDX-License-Identifier: MIT
-- plan/foreign.lua: knows steps and options by the names that they have elsewhere (Arroyo, Flink, Kafka Streams, Faust,
-- Kafka's and librdkafka's properties), and says what they are called here.
local ffi = require("ffi")
local list = require("tidemill.steps.list")
local tide = require("tidemill.run.ffi")

local foreign = {}

local STEPS = {
  map_values = "run_task", transform = "run_task", process = "run_task", task = "run_task",
  parallel = "run_task_with_multiprocessing", run_task_with_processes = "run_task_with_multiprocessing",
  flat_map = "unfold", flatmap = "unfold", explode = "unfold", split = "unfold",
  fold = "reduce", aggregate = "reduce", window = "reduce", where = "filter",
  kafka = "kafka_source", source = "kafka_source", from_kafka = "kafka_source", kafka_consumer = "kafka_source",
  consume = "kafka_source", consumer = "kafka_source",
  kafka_sink = "produce", sink = "produce", to_kafka = "produce", kafka_producer = "produce", producer = "produce",
  write = "produce", to = "produce",
  file = "file_source", from_file = "file_source", to_file = "file_sink",
  commit = "commit_offsets", dead_letter_queue = "dlq", dead_letters = "dlq", dead_letter = "dlq",
}

-- The names have _ in place of . and -.
local OPTIONS = {
  bootstrap_servers = "brokers", bootstrap_server = "brokers", broker = "brokers", servers = "brokers",
  hosts = "brokers", metadata_broker_list = "brokers",
  group_id = "group", consumer_group = "group", group_name = "group",
  group_instance_id = "instance", static_member = "instance",
  auto_offset_reset = { "start", "auto_offset_reset" }, offset_reset = { "start", "auto_offset_reset" },
  offset = "start", from = "start",
  topic_name = "topic", input_topic = "topic", output_topic = "topic", topic_pattern = "pattern",
  num_processes = "processes", workers = "processes", parallelism = "processes", threads = "processes",
  concurrency = "processes",
  batch_size = "max_batch_size", max_poll_records = "max_batch_size", batch_time = "max_batch_time",
  linger = "max_batch_time", dead_letters = "dlq", dead_letter_queue = "dlq",
  file = "path", filename = "path",
  address = "prometheus", listen = "prometheus", port = "prometheus", http = "prometheus", metrics_addr = "prometheus",
  config = "rdkafka", properties = "rdkafka", librdkafka = "rdkafka", client = "rdkafka",
}

-- Short names that people use for properties of librdkafka.
local PROPERTIES = { compression = "compression.type", username = "sasl.username", password = "sasl.password" }

--- Returns '; here it is "run_task"', or nil.
function foreign.step(name)
  return STEPS[name] and ('; here it is "%s"'):format(STEPS[name])
end

-- Returns what librdkafka and tidemill say about a property of that name; nil when there is none.
local function about_property(name)
  if tide.C.tide_kafka_property_check(name, nil) < 0 then
    local reason = ffi.string(tide.C.tide_error())
    if reason:find("has no property", 1, true) then return nil end
    if reason:find(" cannot be set: ", 1, true) then return "; " .. reason end
  end
  return ('; librdkafka has it as a property: rdkafka = { ["%s"] = ... }'):format(name)
end

-- The steps and settings that have an option, when they are few.
local function owners(name)
  local found = {}
  for _, spec in ipairs(list) do
    for _, option in ipairs(spec.options) do
      if option.name == name then found[#found + 1] = spec.name end
    end
  end
  if #found > 4 then return nil end
  local last = table.remove(found)
  return last and (#found > 0 and table.concat(found, ", ") .. " and " or "") .. last
end

--- Returns a hint for an option that a step or setting does not have; `known`: those that it has, by name. Returns nil
--- when there is no hint.
function foreign.option(name, known)
  local plain = name:lower():gsub("[.-]", "_")
  local found, names = OPTIONS[plain] or name, {}
  for _, ours in ipairs(type(found) == "table" and found or { found }) do
    if known[ours] then names[#names + 1] = '"' .. ours .. '"' end
  end
  if #names > 0 then return "; here it is " .. table.concat(names, " or ") end
  local others = type(found) == "string" and owners(found)
  if others then return ('; "%s" is an option of %s'):format(found, others) end
  return known.rdkafka and about_property(PROPERTIES[plain] or (plain:gsub("_", "."))) or nil
end

return foreign
