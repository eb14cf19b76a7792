-- SPDX-License-Identifier: MIT
-- One of the jobs of jobs.lua from topic to topic.
local tide = require "tidemill"

local delivery = tide.param("delivery", "at_least_once")

return tide.pipeline "bench" {
  tide.kafka_source {
    brokers = tide.param "brokers",
    topic = tide.param "topic",
    group = tide.param "group",
    start = "earliest",
  },
  tide.run_task_with_multiprocessing { require "jobs"[tide.param "job"], processes = tide.param("workers", 2) },
  tide.produce { topic = tide.param "out", partition = "same" },
  tide.commit_offsets { policy = delivery == "exactly_once" and { min_time = "200ms" } or "once_per_second" },
  delivery = delivery,
}
