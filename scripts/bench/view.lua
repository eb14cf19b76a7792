-- SPDX-License-Identifier: MIT
-- The benchmark's job by message.json: the same edits as cjson.lua, spliced into the bytes that came in.
local tide = require "tidemill"

local function transform(message)
  local event = message.json
  if event.level == "debug" then return nil end
  event.v, event.value = event.value * 2, nil
  event.seen = true
  return message
end

return tide.pipeline "bench-view" {
  tide.kafka_source {
    brokers = tide.param "brokers",
    topic = tide.param "topic",
    group = tide.param "group",
    start = "earliest",
  },
  tide.run_task_with_multiprocessing { transform, processes = tide.param("workers", 2) },
  tide.produce { topic = tide.param "out", partition = "same" },
  tide.commit_offsets { policy = "once_per_second" },
}
