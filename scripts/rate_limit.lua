-- SPDX-License-Identifier: MIT
-- Limit the rate of each key: of a device's alerts at most three at once, and three a minute from then on, by the time
-- that stands in them; those beyond it are filtered. The state lies in the folder state-of-rate-limit.
--   tidemill run scripts/rate_limit.lua --set input=scripts/samples/alerts.jsonl --set state=$(mktemp -d)
local tide = require "tidemill"

local MOST, PER_MS = 3, 3 / 60000

-- What may still pass is 3 at first; it grows with time, and each message takes 1.
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
  tide.file_source { path = tide.param("input") },
  tide.keyed { limit, by = "json:device", state = "left", ttl = "10min", processes = 1 },
  tide.file_sink { path = "-" },
  state_dir = tide.param("state", "state-of-rate-limit"),
  dlq = tide.dlq { path = "-" },
}
