-- SPDX-License-Identifier: MIT
-- Enrich from a topic.
-- Each order gets the name and city of its user, from a compacted topic of users. All workers share the topic's rows in
-- memory, and the engine keeps them up to date while the pipeline runs. In the command below a file replaces the topic.
--   tidemill run scripts/enrich_topic.lua --input scripts/samples/sold.jsonl --table users=scripts/samples/people.jsonl
local tide = require "tidemill"

local users = tide.table "users" { topic = "users" }

local function add_user(message)
  local order = message.json
  if tide.json.type(order) ~= "object" then return message end
  local user = users[order.user]
  if not user then return tide.reject("no user " .. tostring(order.user)) end
  order.name = user.name
  order.city = user.address.city
  return message
end

return tide.pipeline "enrich-topic" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "orders", group = "enrich-topic",
    start = "earliest" },
  tide.run_task_with_multiprocessing { add_user, processes = tide.param("processes", 2) },
  tide.produce { topic = "orders.named" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "orders.dlq" },
}
