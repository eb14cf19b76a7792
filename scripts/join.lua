-- SPDX-License-Identifier: MIT
-- Join two topics.
-- An order and its payment become one message if they are at most ten minutes apart, by the time in the events. An
-- order without a payment goes on alone after that. In both topics the id is the key, and both have the same number of
-- partitions. An engine that owns a partition of one topic owns the same partition of the other.
local tide = require "tidemill"

local WITHIN = 10 * 60 * 1000 -- milliseconds

local function alone(first)
  return first and first.topic == "orders" and { json = { order = first.event, payment = tide.null } } or nil
end

-- What comes first is the state of its id, and waits for the other one.
local function join(message, state)
  local first = state.value
  state.value = nil
  if message.timer then return alone(first) end
  local event = tide.json.table(message.json)
  if first and first.topic ~= message.topic and math.abs(message.timestamp - first.at) <= WITHIN then
    local pair = { [first.topic] = first.event, [message.topic] = event }
    state:timer(nil)
    return { json = { order = pair.orders, payment = pair.payments } }
  end
  state.value = { topic = message.topic, at = message.timestamp, event = event }
  state:timer(message.timestamp + WITHIN)
  return alone(first)
end

return tide.pipeline "join" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topics = { "orders", "payments" },
    group = "join", start = "earliest" },
  tide.keyed { join, by = "key", state = "waiting", time = "json:time", grace = "30s" },
  tide.produce { topic = "paid_orders" },
  tide.commit_offsets {},
  state_dir = tide.param("state", "state-of-join"),
  dlq = tide.dlq { topic = "join.dlq" },
}
