-- SPDX-License-Identifier: MIT
-- Keep a sample: one of ten users, and of these every message, in each run and on each machine the same ones. Messages
-- without a key are left out.
--   tidemill run scripts/sample.lua --input scripts/samples/visits.recorded.jsonl --input-format json --set percent=50
local tide = require "tidemill"

local percent = tide.param("percent", 10)

local function is_chosen(message)
  return message.key and tide.hash.crc32c(message.key) % 100 < percent
end

return tide.pipeline "sample" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "visits", group = "sample",
    start = "earliest" },
  tide.filter { is_chosen },
  tide.produce { topic = "visits.sample" },
  tide.commit_offsets {},
}
