-- SPDX-License-Identifier: MIT
-- Take bulk payloads apart: a message of a megabyte, with many lines in it, becomes one message a line. All of them
-- leave, or none. No size has to be set: blocks grow up to 64 MiB, and what is still too large is a dead letter.
--   tidemill run scripts/bulk.lua --input scripts/samples/bulk.recorded.jsonl --input-format json
local tide = require "tidemill"

local function lines_of(message)
  local lines = {}
  for line in (message.value or ""):gmatch "[^\r\n]+" do lines[#lines + 1] = line end
  return lines -- none: filtered
end

return tide.pipeline "bulk" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "bulk", group = "bulk",
    start = "earliest" },
  tide.unfold { lines_of },
  tide.produce { topic = "events" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "bulk.dlq" },
}
