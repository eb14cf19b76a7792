-- SPDX-License-Identifier: MIT
-- Every message as it came: what the engine itself costs, against bare_loop.c.
local tide = require "tidemill"

return tide.pipeline "bench-identity" {
  tide.kafka_source {
    brokers = tide.param "brokers",
    topic = tide.param "topic",
    group = tide.param "group",
    start = "earliest",
  },
  tide.run_task_with_multiprocessing {
    function(message) return message end,
    processes = tide.param("workers", 1),
  },
  tide.produce { topic = tide.param "out", partition = "same" },
  tide.commit_offsets { policy = "once_per_second" },
}
