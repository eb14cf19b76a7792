-- SPDX-License-Identifier: MIT
-- Count per key: how often each user came, and where last; a visit that is sent twice within ten minutes counts once.
-- The state lies in the folder state-of-counts: what is added to the file later is counted on.
--   tidemill run scripts/counts.lua --set input=scripts/samples/users.jsonl --set state=$(mktemp -d)
local tide = require "tidemill"

local function once(message, state)
  if state.value then return nil end
  state.value = true
  return message
end

return tide.pipeline "counts" {
  tide.file_source { path = tide.param("input") },
  tide.keyed { once, by = "json:id", state = "seen", ttl = "10min", processes = 1 },
  tide.keyed { "count.lua", by = "json:user", state = "counts", processes = 1 },
  tide.file_sink { path = "-", format = "json" },
  state_dir = tide.param("state", "state-of-counts"),
}
