-- SPDX-License-Identifier: MIT
-- The pipeline under torture. scripts/torture/fleet.lua runs it in processes of its own, and sets the parameters.
local tide = require "tidemill"
local behaviour = require "behaviour"
local window = require "window"

local instance = tide.param("instance", "")
local journal = os.getenv "TORTURE_JOURNAL" or "/dev/null"
local state_dir = tide.param("state_dir", "")
local SECOND = tide.param("second")
local lanes = tide.param("lanes", "") ~= ""

-- By what of it is kept for each key: nothing, counts, or windows.
local work = {}

work[""] = function(step)
  return { tide.run_task_with_multiprocessing(step) }
end

function work.counts(step)
  step.by, step.state = "key", { "counts", "last" }
  return { tide.keyed(step) }
end

function work.windows(step)
  return { tide.window { size = behaviour.WINDOW_MS / 1000, grace = behaviour.grace_ms(lanes) / 1000,
    time = "header:time", by = "key", init = window.init, add = window.add, late = SECOND,
    processes = step.processes, max_batch_size = step.max_batch_size }, tide.run_task { "closed.lua" } }
end

local steps = { tide.kafka_source {
  brokers = tide.param("brokers"), topic = tide.param("input"), group = tide.param("group"), start = "earliest",
  instance = instance ~= "" and instance or nil,
  rdkafka = { ["session.timeout.ms"] = 4000, ["heartbeat.interval.ms"] = 300, ["reconnect.backoff.max.ms"] = 500 },
} }
if lanes then
  steps[#steps + 1] = tide.run_task_with_multiprocessing { function(message) return message end, order = "key",
    processes = 3, max_batch_size = 20 }
end
for _, step in ipairs(work[tide.param("keyed", "")] { "transform.lua", processes = 4, max_batch_size = 40 }) do
  steps[#steps + 1] = step
end
steps[#steps + 1] = tide.produce { topic = tide.param("output"), topics = SECOND, partition = "same" }
steps[#steps + 1] = tide.commit_offsets { policy = { min_time = "100ms" } }
steps.dlq = tide.dlq { topic = tide.param("dead_letters") }
steps.delivery = tide.param("delivery", "at_least_once")
steps.message_timeout = tide.param("message_timeout", "1s")
steps.files = { write = journal:match "^(.*)/" }
steps.env = { "TORTURE_JOURNAL", "TORTURE_RUN", "TORTURE_SECOND" }
steps.state_dir = state_dir ~= "" and state_dir or nil
steps.broker_timeout = "2min" -- a broker that is killed needs half a minute to come back on a busy machine

return tide.pipeline(tide.param("name", "torture"))(steps)
