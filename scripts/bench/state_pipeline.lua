-- SPDX-License-Identifier: MIT
-- A state for each key of a topic, with a changelog: how often the key came, or its last value (`job` of jobs.lua). The
-- group is the name of the pipeline too, so that each new group begins with an empty state.
local tide = require "tidemill"

local instance = tide.param("instance", "")

return tide.pipeline(tide.param "group") {
  tide.kafka_source {
    brokers = tide.param "brokers",
    topic = tide.param "topic",
    group = tide.param "group",
    instance = instance ~= "" and instance or nil,
    start = "earliest",
  },
  tide.keyed { require("jobs")[tide.param("job", "count")], by = "key", state = "counts",
    processes = tide.param("workers", 2) },
  tide.produce {
    topic = tide.param "out",
    partition = "same",
    rdkafka = { ["linger.ms"] = 20 },
  },
  tide.commit_offsets { policy = "once_per_second" },
  state_dir = tide.param "state",
}
