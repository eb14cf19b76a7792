-- SPDX-License-Identifier: MIT
-- Add a field.
-- Each order gets its gross price. All other bytes of the value stay as they are.
--   tidemill run scripts/edit_field.lua --input scripts/samples/orders.jsonl
local tide = require "tidemill"

local function add_gross(message)
  local order = message.json
  if tide.json.type(order) ~= "object" or type(order.net) ~= "number" then return message end
  order.gross = order.net * 1.19 -- spliced into the bytes; all else stays as it came
  return message
end

return tide.pipeline "edit-field" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "orders", group = "edit-field",
    start = "earliest" },
  tide.run_task_with_multiprocessing { add_gross, processes = tide.param("processes", 2) },
  tide.produce { topic = "orders.priced" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "orders.dlq" },
}
