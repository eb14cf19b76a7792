-- SPDX-License-Identifier: MIT
-- Route to topics by a field.
-- Errors and warnings have a topic each. All other levels go to a third one.
--   tidemill run scripts/route.lua --input scripts/samples/logs.jsonl --output-format json
local tide = require "tidemill"

local topics = { error = "logs.error", warning = "logs.warning" }

local function route(message)
  local log = message.json
  local topic = tide.json.type(log) == "object" and topics[log.level]
  if topic then message.topic = topic end -- else the topic of produce
  return message
end

return tide.pipeline "route" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "logs", group = "route",
    start = "earliest" },
  tide.run_task_with_multiprocessing { route, processes = tide.param("processes", 2) },
  tide.produce { topic = "logs.other", topics = { "logs.error", "logs.warning" } },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "logs.dlq" },
}
