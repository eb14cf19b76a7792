-- SPDX-License-Identifier: MIT
-- The benchmark's job by lua-cjson: drop debug events, double a value under a new name, mark as seen.
local tide = require "tidemill"
local cjson = require "cjson"

local function transform(message)
  local event = cjson.decode(message.value)
  if event.level == "debug" then return nil end
  event.v, event.value = event.value * 2, nil
  event.seen = true
  return cjson.encode(event)
end

return tide.pipeline "bench-cjson" {
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
