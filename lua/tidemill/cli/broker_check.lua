-- SPDX-License-Identifier: MIT
-- cli/broker_check.lua: asks the brokers, before a plan runs, for all that it will need of them.
local ffi = require("ffi")
local exit_code = require("tidemill.plan.exit_code")
local keyed = require("tidemill.plan.keyed")
local tide = require("tidemill.run.ffi")

local broker_check = {}

local function property_array(properties)
  local array = ffi.new("struct tide_property[?]", math.max(1, #properties))
  for i, property in ipairs(properties) do
    array[i - 1].name, array[i - 1].value = property.name, property.value
  end
  return array
end

local function topic_array(topics)
  local array = ffi.new("const char *[?]", math.max(1, #topics))
  for i, topic in ipairs(topics) do array[i - 1] = topic end
  return array
end

-- Asks one side. Returns the text and the exit code of what is wrong, or nil and nil, then the struct with the answer.
-- The struct borrows `fields` and the arrays, which the locals here keep alive.
local function look(plan, properties, topics, fields)
  local names, apart = topic_array(topics), topic_array(plan.tables.source.apart_topics or {})
  local values = property_array(properties)
  local check = ffi.new("struct tide_kafka_check")
  check.properties, check.property_count = values, #properties
  check.topics, check.topic_count = names, #topics
  check.apart_topics, check.apart_topic_count = apart, #(plan.tables.source.apart_topics or {})
  check.timeout_us = plan.tables.broker_timeout_us
  for name, value in pairs(fields) do check[name] = value end
  local status = tide.C.tide_kafka_check(check)
  if status < 0 then return ffi.string(tide.C.tide_error()), -status, check end
  return nil, nil, check
end

-- Returns what the source must know of the output, as the engine tells it: struct tide_kafka_output.
local function output_of(plan, answer)
  local sink = plan.tables.sink
  local same = sink.medium == "TIDE_MEDIUM_KAFKA" and sink.partitioner == "TIDE_PARTITION_SAME"
    and answer.partitions > 0
  return { cluster = answer.cluster, limit_topic = same and sink.topics[1] or nil, limit = answer.partitions }
end

-- The id of one more engine, since a check by the id of an engine that runs would fence that engine.
local function transactional_id(tables)
  return tables.exactly_once and ("%s.%s.check"):format(tables.name:sub(1, 160), tables.source.group:sub(1, 160)) or nil
end

local function has_same_brokers(sides)
  return #sides.source > 0 and #sides.sink > 0 and sides.source[1].value == sides.sink[1].value
end

--- Asks the brokers of both sides for all that `run` will need of them. Returns nil, or the texts of both and the exit
--- code of the first.
function broker_check.connect(plan)
  local sides, reason = plan:connection()
  if not sides then return { reason }, exit_code.CONFIG end
  local tables, texts, code = plan.tables, {}, nil
  local changelogs = keyed.changelogs(tables)
  local fields = {
    source = { group = tables.source.group, together = tables.source.together, changelogs = topic_array(changelogs),
      changelog_count = #changelogs },
    sink = { dead_letters = tables.dlq.kind == "TIDE_DLQ_TOPIC",
      transactional_id = transactional_id(tables) },
    tables = { group = tables.source.group },
  }
  local answer
  for _, side in ipairs { "sink", "source", "tables" } do
    if sides[side] and #sides[side] > 0 then
      if answer then fields.source.output = output_of(plan, answer) end
      local text, status
      text, status, answer = look(plan, sides[side], plan:kafka_topics(true)[side], fields[side])
      if text then table.insert(texts, 1, text) end
      code = status or code
    end
    if code == exit_code.UNREACHED and has_same_brokers(sides) then break end -- it was waited for once
  end
  if code then return texts, code end
end

return broker_check
