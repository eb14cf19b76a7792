-- SPDX-License-Identifier: MIT
-- Drop events and edit the others.
-- transform.lua is called for each message. The pipeline runs on files, and on a Kafka inside the process:
--   tidemill run scripts/clean_events.lua --input scripts/samples/events.jsonl
--   tidemill run scripts/clean_events.lua --mock-kafka --feed scripts/samples/events.jsonl
local tide = require "tidemill"

return tide.pipeline "clean-events" {
  tide.kafka_source {
    brokers = tide.param("brokers", "127.0.0.1:9092"),
    topic = tide.param("topic", "events"),
    group = tide.param("group", "clean-events"),
    start = tide.param("start", "earliest"),
  },
  tide.run_task_with_multiprocessing {
    "transform.lua",
    processes = tide.param("processes", 2),
    max_batch_size = tide.param("max_batch_size", 1000),
    max_batch_time = "1s",
  },
  tide.produce { topic = tide.param("output", "events.clean") },
  tide.commit_offsets { policy = "once_per_second" },
  dlq = tide.dlq { topic = tide.param("dlq", "events.dlq"), max_invalid_ratio = 0.01, max_consecutive_count = 100 },
}
