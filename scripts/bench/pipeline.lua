-- SPDX-License-Identifier: MIT
-- One of the jobs of jobs.lua from topic to topic. The sizes are the defaults, so are the clients' settings, unless
-- `linger` (ms) says another. `commit` is the interval in exactly_once.
local tide = require "tidemill"

local delivery, linger = tide.param("delivery", "at_least_once"), tide.param("linger", -1)
local commit = tide.param("commit", "200ms")

return tide.pipeline "bench" {
  tide.kafka_source {
    brokers = tide.param "brokers",
    topic = tide.param "topic",
    group = tide.param "group",
    start = "earliest",
  },
  tide.run_task_with_multiprocessing { require "jobs"[tide.param "job"], processes = tide.param("workers", 2) },
  tide.produce {
    topic = tide.param "out",
    partition = "same",
    rdkafka = linger >= 0 and { ["linger.ms"] = linger } or nil,
  },
  tide.commit_offsets { policy = delivery == "exactly_once" and { min_time = commit } or "once_per_second" },
  delivery = delivery,
}
