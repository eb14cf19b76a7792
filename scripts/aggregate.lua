-- SPDX-License-Identifier: MIT
-- Count by the clock.
-- One message a minute says how many visits each page had. It counts messages as they arrive. To count by the time in
-- the events, with one result for each page, see count_per_minute.lua.
--   tidemill run scripts/aggregate.lua --input scripts/samples/visits.jsonl
local tide = require "tidemill"

local function count(pages, message)
  local visit = message.json
  local page = tide.json.type(visit) == "object" and visit.page
  if type(page) ~= "string" then page = "unknown" end
  pages[page] = (pages[page] or 0) + 1
  return pages
end

return tide.pipeline "aggregate" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "visits", group = "aggregate",
    start = "earliest" },
  tide.reduce {
    count, initial_value = function() return {} end, result = tide.json.encode,
    max_batch_size = 1000000, max_batch_time = "1min",
  },
  tide.produce { topic = "visits.per_minute" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "visits.dlq" },
}
