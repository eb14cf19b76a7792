-- SPDX-License-Identifier: MIT
-- Split a message into several.
-- A cart becomes one message for each of its items. The offset of the cart is committed once all of them are delivered.
--   tidemill run scripts/split.lua --input scripts/samples/carts.jsonl --output-format json
local tide = require "tidemill"

local function items_of(message)
  local cart, results = message.json, {}
  local items = tide.json.type(cart) == "object" and cart.items
  if tide.json.type(items) ~= "array" then return results end -- null, or no cart: filtered
  for i, item in tide.json.each(items) do
    local id = tide.json.type(item) == "object" and item.id
    results[i] = { key = type(id) == "string" and id or nil, json = item } -- the item's own bytes
  end
  return results
end

return tide.pipeline "split" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "carts", group = "split",
    start = "earliest" },
  tide.unfold { items_of },
  tide.produce { topic = "cart.items" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "carts.dlq" },
}
