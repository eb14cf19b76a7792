-- SPDX-License-Identifier: MIT
-- Keep messages by their key.
-- Only messages whose key begins with "eu-" pass. Plain lines have no keys, so the sample is in the format that
-- `tidemill record` writes:
--   tidemill run scripts/filter_by_key.lua --input scripts/samples/visits.recorded.jsonl --input-format json
local tide = require "tidemill"

return tide.pipeline "filter-by-key" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "visits", group = "filter-by-key",
    start = "earliest" },
  tide.filter { function(message) return message.key and message.key:find "^eu%-" end },
  tide.produce { topic = "visits.eu" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "visits.dlq" },
}
