-- SPDX-License-Identifier: MIT
-- Enrich from a small table: a country's name by its code, from a table that each worker has in memory.
--   tidemill run scripts/enrich.lua --input scripts/samples/visits.jsonl
local tide = require "tidemill"

local countries = { de = "Germany", fr = "France", jp = "Japan" }

local function add_country(message)
  local visit = message.json
  if tide.json.type(visit) ~= "object" then return message end
  visit.country_name = countries[visit.country] or "unknown"
  return message
end

return tide.pipeline "enrich" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "visits", group = "enrich",
    start = "earliest" },
  tide.run_task_with_multiprocessing { add_country, processes = tide.param("processes", 2) },
  tide.produce { topic = "visits.named" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "visits.dlq" },
}
