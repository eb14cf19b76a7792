-- SPDX-License-Identifier: MIT
-- steps/pipeline.lua: tide.pipeline "name" { steps ..., settings = ... }.
return {
  name = "pipeline",
  kind = "pipeline",
  summary = "a chain of steps, in the order of the stream, and the settings of the whole",
  example = 'tide.pipeline "clean-events" { tide.kafka_source { ... }, ..., delivery = "at_least_once" }',
  options = {
    { name = "dlq", type = "setting", setting = "dlq",
      default_text = "none: a bad message stops the pipeline (exit 65)",
      help = "Where bad messages go." },
    { name = "delivery", type = "choice", values = { "at_least_once", "exactly_once" }, default = "at_least_once",
      help = "at_least_once: an offset is committed when every earlier message of its partition is delivered, filtered "
        .. "or dead-lettered, and that is acknowledged. exactly_once: outputs, dead letters and offsets go into Kafka "
        .. "together, in one transaction for each interval of commit_offsets; who reads with "
        .. "isolation.level=read_committed sees each message's outputs once. Brokers from 2.5 on." },
    { name = "join_timeout", type = "time", unit = "seconds", default = "25s", above_zero = true,
      help = "How long SIGTERM waits for what was read to be delivered and committed." },
    { name = "message_timeout", type = "time", unit = "seconds", default = "30s", above_zero = true,
      help = "How long a worker may take over one message." },
    { name = "start_timeout", type = "time", unit = "seconds", default = "1min", above_zero = true,
      help = "How long a transform file, its `init`, or a worker's `start` may take, each: beyond that the run ends "
        .. "with exit 78, which names it. A `start` that takes longer in a worker that replaces one is tried again." },
    { name = "retry_timeout", type = "time", unit = "seconds", default = "5min", above_zero = true,
      help = "How long a message for which a function returns tide.retry is tried again, before it is rejected "
        .. "(retry_timeout). What waits meanwhile is kept in memory, up to the step's max_input_block_size: beyond, "
        .. "reading stops." },
    { name = "worker_memory", type = "size", unit = "bytes", default = "1GiB", min = 16 * 2 ^ 20,
      help = "How much memory a worker may take beyond what was loaded at start. One that wants more is replaced; "
        .. "the message it is at is run again, alone, as after a crash." },
    { name = "stuck_detector_timeout", type = "time", unit = "seconds", default = "10s", above_zero = true,
      help = "How long nothing may move while messages are in flight before consumer.stuck is counted and the log "
        .. "says what they wait for." },
    { name = "broker_timeout", type = "time", unit = "seconds", default = "30s", above_zero = true,
      help = "How long the brokers may take to answer at start, then exit 69. At run time an outage is waited out." },
    { name = "trust", type = "choice", values = { "full" }, default = "full",
      refused = { limited = "there is no sandbox in this version", none = "there is no sandbox in this version" },
      help = "What the functions of the pipeline may do: all that the user who runs it may." },
  },
  plan = function(values, draft)
    draft.join_timeout_us = values.join_timeout
    draft.message_timeout_us = values.message_timeout
    draft.start_timeout_us = values.start_timeout
    draft.retry_timeout_us = values.retry_timeout
    draft.worker_memory = values.worker_memory
    draft.stuck_detector_timeout_us = values.stuck_detector_timeout
    draft.broker_timeout_us = values.broker_timeout
    draft.exactly_once = values.delivery == "exactly_once"
  end,
}
