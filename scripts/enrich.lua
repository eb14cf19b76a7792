-- SPDX-License-Identifier: MIT
-- Enrich from a file.
-- Each visit gets the name of its country, from a CSV file. All workers share the file's rows in memory, and it is read
-- again when it changes. It may have millions of rows.
--   tidemill run scripts/enrich.lua --input scripts/samples/visits.jsonl
local tide = require "tidemill"

local countries = tide.lookup { "samples/countries.csv", by = "code" }

local function add_country(message)
  local visit = message.json
  if tide.json.type(visit) ~= "object" then return message end
  local country = countries[visit.country]
  visit.country_name = country and country.name or "unknown"
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
