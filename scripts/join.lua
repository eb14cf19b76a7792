-- SPDX-License-Identifier: MIT
-- Join two streams: an order and its payment become one message, when both come within ten minutes, by the time that
-- stands in them; an order without a payment goes on alone by then. The events of both are in one file, or topic, by
-- the id that they have in common, with the name of their stream as `kind`: merge.lua makes it of two topics. The state
-- lies in the folder state-of-join. Run it by
-- `tidemill run scripts/join.lua --set input=scripts/samples/orders_payments.jsonl`.
local tide = require "tidemill"

local WITHIN = 10 * 60 * 1000 -- milliseconds

-- What came first is the state of its id, and waits for the other one.
local function join(message, state)
  local both = state.value or {}
  if message.timer then
    state.value = nil
    return both.orders and { json = { order = both.orders, payment = tide.null } } or nil
  end
  both[message.json.kind] = tide.json.table(message.json)
  local complete = both.orders and both.payments
  state.value = not complete and both or nil
  state:timer(not complete and message.timestamp + WITHIN or nil)
  return complete and { json = { order = both.orders, payment = both.payments } } or nil
end

return tide.pipeline "join" {
  tide.file_source { path = tide.param("input") },
  tide.keyed { join, by = "json:id", state = "waiting", time = "json:time", grace = "30s" },
  tide.file_sink { path = "-" },
  state_dir = tide.param("state", "state-of-join"),
  dlq = tide.dlq { path = "-" },
}
