-- SPDX-License-Identifier: MIT
-- Copy a topic.
-- Every message comes out as it came in. This is the smallest pipeline with a transform.
--   tidemill run scripts/identity.lua --input scripts/samples/events.jsonl
local tide = require "tidemill"

return tide.pipeline "identity" {
  tide.kafka_source {
    brokers = tide.param("brokers", "127.0.0.1:9092"),
    topic = tide.param("topic", "events"),
    group = tide.param("group", "identity"),
    start = tide.param("start", "earliest"),
  },
  tide.run_task_with_multiprocessing {
    function(message) return message end,
    processes = tide.param("processes", 2),
    max_batch_size = tide.param("max_batch_size", 1000),
  },
  tide.produce { topic = tide.param("output", "events.copy") },
  tide.commit_offsets {},
}
