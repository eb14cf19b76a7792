-- SPDX-License-Identifier: MIT
-- Keep a sample.
-- One of ten users is chosen by a hash of the key, so every run on every machine chooses the same users. All messages
-- of a chosen user pass. Messages without a key are dropped.
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
