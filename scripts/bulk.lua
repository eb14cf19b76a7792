-- SPDX-License-Identifier: MIT
-- Take bulk payloads apart.
-- A message of a megabyte with many lines becomes one message for each line: all of them are delivered, or none. You
-- set no sizes: blocks grow up to 64 MiB, and a message that is too large for that becomes a dead letter.
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
