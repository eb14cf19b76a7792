-- SPDX-License-Identifier: MIT
-- cli/preflight.lua: what librdkafka has to say about a plan before it runs.
local ffi = require("ffi")
local exit_code = require("tidemill.cli.exit_code")
local tide = require("tidemill.run.ffi")

local preflight = {}

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

-- What is in `fields` and the arrays stays referenced here, and with it what the struct borrows.
local function look(plan, properties, topics, fields)
  local names, values = topic_array(topics), property_array(properties)
  local check = ffi.new("struct tide_kafka_check")
  check.properties, check.property_count = values, #properties
  check.topics, check.topic_count = names, #topics
  check.timeout_us = plan.draft.broker_timeout_us
  for name, value in pairs(fields) do check[name] = value end
  local status = tide.C.tide_kafka_check(check)
  if status < 0 then return ffi.string(tide.C.tide_error()), -status end
end

-- The name of one more engine: that of one that runs would be taken from it.
local function transactional_id(draft)
  return draft.exactly_once and ("%s.%s.check"):format(draft.name:sub(1, 160), draft.source.group:sub(1, 160)) or nil
end

--- Asks the brokers of both sides for all that `run` will need of them: nil, or the texts of both and the exit code of
--- the first.
function preflight.connect(plan)
  local sides, reason = plan:connection()
  if not sides then return { reason }, exit_code.CONFIG end
  local draft, texts, code = plan.draft, {}, nil
  local fields = {
    source = { group = draft.source.group },
    sink = { letters = draft.dlq.kind == "TIDE_DLQ_TOPIC" and draft.dlq.target or nil,
      transactional_id = transactional_id(draft) },
  }
  for _, side in ipairs { "source", "sink" } do
    if #sides[side] > 0 then
      local text, status = look(plan, sides[side], plan:kafka_topics(true)[side], fields[side])
      texts[#texts + 1] = text
      code = code or status
    end
  end
  if code then return texts, code end
end

return preflight
