-- SPDX-License-Identifier: MIT
-- Turn JSON into Avro.
-- Values are written in Confluent's wire format, with the id that the schema has in the registry. A value that does not
-- fit the schema becomes a dead letter that names the field. The result is bytes, so the command below prints it as
-- JSON with base64.
--   tidemill run scripts/json_to_avro.lua --input scripts/samples/orders.amounts.jsonl --output-format json
local tide = require "tidemill"

local orders = tide.avro.load "samples/order.avsc"
local schema_id = tide.param("schema_id", 7)

local function to_avro(message)
  local order = tide.json.table(message.json)
  order.total = assert(tide.avro.decimal_bytes(order.total, 2)) -- a text: a number would be rounded
  return { value = tide.avro.wrap(schema_id, orders:encode(order)) }
end

return tide.pipeline "json-to-avro" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "orders.json", group = "json-to-avro",
    start = "earliest" },
  tide.run_task_with_multiprocessing { to_avro, processes = tide.param("processes", 2) },
  tide.produce { topic = "orders.avro" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "orders.dlq" },
}
