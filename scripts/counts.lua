-- SPDX-License-Identifier: MIT
-- Count per key.
-- How often each user visited, and which page came last. A visit that is sent twice within ten minutes counts once. All
-- visits with one id, and all of one user, must be in one partition.
--   tidemill run scripts/counts.lua --input scripts/samples/users.jsonl --set state=$(mktemp -d) --output-format json
local tide = require "tidemill"

local function once(message, state)
  if state.value then return nil end
  state.value = true
  return message
end

return tide.pipeline "counts" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "visits", group = "counts",
    start = "earliest" },
  tide.keyed { once, by = "json:id", state = "seen", ttl = "10min", processes = 1 },
  -- More processes are faster; then results of different users come in any order.
  tide.keyed { "count.lua", by = "json:user", state = "counts", processes = 1 },
  tide.produce { topic = "visits.counts" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "visits.dlq" },
  state_dir = tide.param("state", "state-of-counts"),
}
