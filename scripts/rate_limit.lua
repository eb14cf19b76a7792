-- SPDX-License-Identifier: MIT
-- Limit the rate of each key.
-- Each device may send three alerts at once, and then three a minute, by the time in the alerts. Further alerts are
-- filtered.
--   tidemill run scripts/rate_limit.lua --input scripts/samples/alerts.jsonl --set state=$(mktemp -d)
local tide = require "tidemill"

local MOST, PER_MS = 3, 3 / 60000

-- How many may still pass: 3 at first; time adds to it, and each alert takes 1.
local function limit(message, state)
  local now, reason = tide.time.parse(message.json.time)
  if not now then return tide.reject(reason) end
  local left = state.value or { count = MOST, time = now }
  local elapsed = math.max(0, now - left.time) -- an alert may come late
  left.count, left.time = math.min(MOST, left.count + elapsed * PER_MS), left.time + elapsed
  local passes = left.count >= 1
  if passes then left.count = left.count - 1 end
  state.value = left
  return passes and message or nil
end

return tide.pipeline "rate-limit" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "alerts", group = "rate-limit",
    start = "earliest" },
  -- More processes are faster; then alerts of different devices come in any order.
  tide.keyed { limit, by = "json:device", state = "left", ttl = "10min", processes = 1 },
  tide.produce { topic = "alerts.limited" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "alerts.dlq" },
  state_dir = tide.param("state", "state-of-rate-limit"),
}
