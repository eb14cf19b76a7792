-- SPDX-License-Identifier: MIT
-- Deduplicate within ten minutes: of the orders with one id the first passes, and those that are sent again in the ten
-- minutes after it (by the clock) are filtered. All with one id have to be in one partition: their key is the id. A
-- file stands in for the topic here.
--   tidemill run scripts/deduplicate.lua --input scripts/samples/twice.jsonl --set state=$(mktemp -d) --set processes=1
local tide = require "tidemill"

local function once(message, state)
  if state.value then return nil end
  state.value = true -- for ttl, since it is not written again
  return message
end

return tide.pipeline "deduplicate" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "orders", group = "deduplicate",
    start = "earliest" },
  tide.keyed { once, by = "json:id", state = "seen", ttl = "10min", processes = tide.param("processes", 2) },
  tide.produce { topic = "orders.once" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "orders.dlq" },
  state_dir = tide.param("state", "state-of-deduplicate"),
}
