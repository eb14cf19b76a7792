-- SPDX-License-Identifier: MIT
-- Turn Avro into JSON.
-- Values are in Confluent's wire format, and the schema is a file beside the pipeline. A value that does not fit the
-- schema becomes a dead letter that names the field and the byte. The sample holds bytes, so it is in the format that
-- `tidemill record` writes.
--   tidemill run scripts/avro_to_json.lua --input scripts/samples/orders.recorded.jsonl --input-format json
local tide = require "tidemill"

local orders = tide.avro.load "samples/order.avsc"

local function to_json(message)
  local id, bytes = tide.avro.unwrap(message.value or "")
  if not id then return tide.reject(bytes) end
  local order, problem = orders:decode(bytes)
  if not order then return tide.reject(problem) end
  order.total = tide.avro.decimal(order.total, 2)
  return { json = order }
end

return tide.pipeline "avro-to-json" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "orders.avro", group = "avro-to-json",
    start = "earliest" },
  tide.run_task_with_multiprocessing { to_json, processes = tide.param("processes", 2) },
  tide.produce { topic = "orders.json" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "orders.dlq" },
}
