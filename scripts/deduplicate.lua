-- SPDX-License-Identifier: MIT
-- Deduplicate within ten minutes.
-- The first order with an id passes. One with the same id that comes within ten minutes after it (by the clock) is
-- filtered. All orders with one id must be in one partition, so producers use the id as the key.
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
