-- SPDX-License-Identifier: MIT
-- Pass what has changed: the last value of each sensor is kept, a reading that says the same again is filtered, and the
-- others tell what it was before. What is added to the file later is compared with what was kept in the folder `state`.
--   tidemill run scripts/last_value.lua --set input=scripts/samples/readings.jsonl --set state=$(mktemp -d)
local tide = require "tidemill"

local function changed(message, state)
  local reading, last = message.json, state.value
  if reading.value == last then return nil end
  state.value = reading.value
  reading.before = last -- no field at first, when it is nil
  return message
end

return tide.pipeline "last_value" {
  tide.file_source { path = tide.param("input") },
  -- More processes are faster; results of different sensors come in any order then.
  tide.keyed { changed, by = "json:sensor", state = "last", processes = 1 },
  tide.file_sink { path = "-" },
  state_dir = tide.param("state", "state-of-last_value"),
  dlq = tide.dlq { path = "-" },
}
