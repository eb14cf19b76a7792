-- SPDX-License-Identifier: MIT
-- Pass what has changed.
-- The last value of each sensor is kept. A reading with the same value as before is filtered; the others say what the
-- value was before.
--   tidemill run scripts/last_value.lua --input scripts/samples/readings.jsonl --set state=$(mktemp -d)
local tide = require "tidemill"

local function changed(message, state)
  local reading, last = message.json, state.value
  if reading.value == last then return nil end
  state.value = reading.value
  reading.before = last -- no field at first, when it is nil
  return message
end

return tide.pipeline "last-value" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "readings", group = "last-value",
    start = "earliest" },
  -- More processes are faster; then results of different sensors come in any order.
  tide.keyed { changed, by = "json:sensor", state = "last", processes = 1 },
  tide.produce { topic = "readings.changed" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "readings.dlq" },
  state_dir = tide.param("state", "state-of-last-value"),
}
