-- SPDX-License-Identifier: MIT
-- Unwrap change events of Debezium.
-- The new row replaces the event. A deletion becomes a null value (a tombstone), so that a compacted topic drops the
-- key. Events with and without an embedded schema work.
--   tidemill run scripts/debezium.lua --input scripts/samples/changes.recorded.jsonl --input-format json
local tide = require "tidemill"

local function unwrap(message)
  if message.value == nil then return nil end -- Debezium's own tombstone: the deletion before it has said it
  local event = message.json
  local change = event.payload or event
  if change.op == "d" then return { value = tide.null } end
  if tide.json.type(change.after) ~= "object" then return tide.reject "not a change event: it has no row" end
  return { json = change.after } -- the row's own bytes
end

return tide.pipeline "debezium" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "shop.users", group = "debezium",
    start = "earliest" },
  tide.run_task_with_multiprocessing { unwrap, processes = tide.param("processes", 2) },
  tide.produce { topic = "users" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "users.dlq" },
}
