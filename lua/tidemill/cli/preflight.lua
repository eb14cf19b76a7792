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

-- `properties` and `topics` stay referenced here, and with them the strings that the arrays borrow.
local function reach(properties, topics, written, timeout_us)
  local status = tide.C.tide_kafka_check(property_array(properties), #properties, topic_array(topics), #topics,
    written, timeout_us)
  if status < 0 then return ffi.string(tide.C.tide_error()), -status end
end

--- Reaches the brokers of both sides and looks for the topics: nil, or the text and the exit code.
function preflight.connect(plan)
  local sides, reason = plan:connection()
  if not sides then return reason, exit_code.CONFIG end
  local topics = plan:kafka_topics()
  for _, side in ipairs { "source", "sink" } do
    if #sides[side] > 0 then
      local text, status = reach(sides[side], topics[side], side == "sink", plan.draft.broker_timeout_us)
      if text then return text, status end
    end
  end
end

return preflight
