-- SPDX-License-Identifier: MIT
-- Splits: one message for each item of a cart; the cart is committed once all are delivered.
--   tidemill run scripts/split.lua --input carts.txt
local tide = require "tidemill"

local function items_of(message)
  local results = {}
  for i, item in tide.json.each(message.json.items) do
    results[i] = { key = item.id, json = item } -- the item's own bytes
  end
  return results
end

return tide.pipeline "split" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "carts", group = "split",
    start = "earliest" },
  tide.unfold { items_of },
  tide.produce { topic = "cart.items" },
  tide.commit_offsets {},
}
