-- SPDX-License-Identifier: MIT
-- Merge topics into one: each event gets the name of its topic as `kind`, and its id as the key, by which its partition
-- is chosen. So events of all topics that have an id in common are in one partition, as join.lua needs them.
local tide = require "tidemill"

local function merge(message)
  local event = message.json
  if tide.json.type(event) ~= "object" or event.id == nil then return tide.reject "an event without id" end
  event.kind = message.topic
  message.key = tostring(event.id)
  return message
end

return tide.pipeline "merge" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topics = { "orders", "payments" },
    group = "merge", start = "earliest" },
  tide.run_task_with_multiprocessing { merge, processes = tide.param("processes", 2) },
  tide.produce { topic = "orders_payments" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "merge.dlq" },
}
