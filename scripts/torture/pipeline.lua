-- SPDX-License-Identifier: MIT
-- The pipeline under torture. scripts/torture/fleet.lua runs it in processes of its own, and sets the parameters.
local tide = require "tidemill"

local instance = tide.param("instance", "")
local journal = os.getenv "TORTURE_JOURNAL" or "/dev/null"
local state_dir = tide.param("state_dir", "") -- "": the transform has no state

local step = { "transform.lua", processes = 4, max_batch_size = 40 }
if state_dir ~= "" then step.by, step.state = "key", { "counts", "last" } end

return tide.pipeline(tide.param("name", "torture")) {
  tide.kafka_source {
    brokers = tide.param("brokers"), topic = tide.param("input"), group = tide.param("group"), start = "earliest",
    instance = instance ~= "" and instance or nil,
    rdkafka = { ["session.timeout.ms"] = 4000, ["heartbeat.interval.ms"] = 300, ["reconnect.backoff.max.ms"] = 500 },
  },
  state_dir ~= "" and tide.keyed(step) or tide.run_task_with_multiprocessing(step),
  tide.produce { topic = tide.param("output"), topics = tide.param("second"), partition = "same" },
  tide.commit_offsets { policy = { min_time = "100ms" } },
  dlq = tide.dlq { topic = tide.param("dead_letters") },
  delivery = tide.param("delivery", "at_least_once"), message_timeout = tide.param("message_timeout", "1s"),
  files = { write = journal:match "^(.*)/" }, env = { "TORTURE_JOURNAL", "TORTURE_RUN", "TORTURE_SECOND" },
  state_dir = state_dir ~= "" and state_dir or nil,
  broker_timeout = "2min", -- a broker that is killed needs half a minute to come back on a busy machine
}
