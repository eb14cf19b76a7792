-- SPDX-License-Identifier: MIT
-- steps/pipeline.lua: the whole, tide.pipeline "name" { steps ..., settings = ... }, and its settings.
return {
  name = "pipeline",
  kind = "pipeline",
  summary = "a chain of steps, in the order in which messages pass them, and the settings of the pipeline",
  example = 'tide.pipeline "clean-events" { tide.kafka_source { ... }, ..., delivery = "at_least_once" }',
  options = {
    { name = "dlq", type = "setting", setting = "dlq",
      default_text = "none: a bad message stops the pipeline (exit 65)",
      help = "Where bad messages go." },
    { name = "metrics", type = "setting", setting = "metrics",
      default_text = "none: metrics are only in the report",
      help = "Where metrics go while the pipeline runs, and where its state is shown." },
    { name = "reload", type = "setting", setting = "reload",
      default_text = "the defaults of reload",
      help = "How a reload is tried, and when it is rolled back." },
    { name = "delivery", type = "choice", values = { "at_least_once", "exactly_once" }, default = "at_least_once",
      help = "at_least_once: an offset is committed when every earlier message of its partition is delivered and "
        .. "acknowledged, filtered, or dead-lettered. exactly_once: outputs, dead letters and offsets are written to "
        .. "Kafka together, in one transaction for each interval of commit_offsets; a consumer with "
        .. "isolation.level=read_committed sees the outputs of each message once. It needs brokers of version 2.5 or "
        .. "later." },
    { name = "engines", type = "count", unit = "engines", min = 1, max = 64, also = { "auto" }, default = 1,
      help = "How many engines run the pipeline under one supervisor (docs/scaling.md). Each is a process of its own "
        .. "and a member of the group. An engine has one thread, which limits the throughput, whatever the number of "
        .. "workers. What the file says of workers, batches and buffers holds for each engine (processes = 4 with "
        .. "engines = 2 is 8 workers); memory_limit is for all engines together, and automatic numbers of processes "
        .. 'share the processors. "auto": one for each 4 processors that may be used. With `instance`, engine K is '
        .. "the member NAME-K. It needs kafka_source. The flag --engines overrides it." },
    { name = "join_timeout", type = "time", unit = "seconds", default = "25s", above_zero = true,
      help = "How long the engine waits after SIGTERM until everything that was read is delivered and committed." },
    { name = "message_timeout", type = "time", unit = "seconds", default = "30s", above_zero = true,
      help = "How long a worker may take for one message. Time in which the worker waits for a processor does not "
        .. "count." },
    { name = "start_timeout", type = "time", unit = "seconds", default = "1min", above_zero = true,
      help = "How long a transform file, its `init` and a worker's `start` may take, each. When one takes longer, the "
        .. "run ends with exit 78 and names it. A `start` that takes longer in a worker that replaces another is tried "
        .. "again." },
    { name = "retry_timeout", type = "time", unit = "seconds", default = "5min", above_zero = true,
      help = "How long a message for which a function returns tide.retry is tried again before it is rejected "
        .. "(retry_timeout). The messages that wait meanwhile are kept in memory, up to the step's "
        .. "max_input_block_size; then reading stops." },
    { name = "target_latency", type = "time", unit = "seconds", above_zero = true,
      default_text = "none: a batch holds what takes a worker 50 ms",
      help = "How long a message may take in all steps that run in workers together, if the load allows it: automatic "
        .. "batches are made small enough. When the source has had messages all the time for longer than this, "
        .. "batches are as large as is best for the throughput." },
    { name = "memory_limit", type = "size", unit = "bytes", min = 2 ^ 20, default_text = "none",
      help = "The most memory that the blocks of all steps, of all engines, take together. The largest sizes of "
        .. "blocks, and the largest automatic number of processes, are lowered so that this always holds; those that "
        .. "the file gives stay. A message or result that needs more than its block may have is rejected "
        .. "(too_large)." },
    { name = "load_memory", type = "size", unit = "bytes", min = 16 * 2 ^ 20,
      default_text = "three quarters of what the machine has available, or its control group may have",
      help = "How much memory the transforms may take while they are loaded: their files, what these require, and "
        .. "`init`. If they need more, the run ends with exit 78 and names what was loaded." },
    { name = "worker_memory", type = "size", unit = "bytes", default = "1GiB", min = 16 * 2 ^ 20,
      help = "How much memory a worker may take beyond what was loaded at start. A worker that needs more is replaced, "
        .. "and the message in progress is run again, alone, as after a crash." },
    { name = "core_dumps", type = "boolean", default = false,
      help = "Whether a worker that crashes leaves a core file, in the way that the system is set up for "
        .. "(core_pattern). It holds the messages that the worker had. Without it the log and the dead letter say "
        .. "where it crashed." },
    { name = "stuck_detector_timeout", type = "time", unit = "seconds", default = "10s", above_zero = true,
      help = "How long there may be no progress while messages are in flight, before consumer.stuck is counted and the "
        .. "log says what they wait for." },
    { name = "broker_timeout", type = "time", unit = "seconds", default = "30s", above_zero = true,
      help = "How long the brokers may take to answer at the start, before the run ends with exit 69. Later the "
        .. "engine waits for them, however long it takes." },
    { name = "state_dir", type = "string", default_text = "none",
      help = "The folder in which the state of tide.keyed is kept, for this pipeline alone; it is made when it is not "
        .. "there. It also holds how far a file was read, so that a run goes on where the one before ended or was "
        .. "killed. With kafka_source it is a copy of what the changelogs have, and each of several engines has one of "
        .. "its own (state_dir-1, state_dir-2)." },
    { name = "trust", type = "choice", values = { "full", "standard", "hardened" }, default = "standard",
      help = "What transforms and functions may do (docs/security.md). standard: the kernel does not let them start "
        .. "programs, use the network, open files that loading them does not need, or reach other processes; network, "
        .. "files and env open more. hardened: in addition, their Lua has no library that reaches out of it (ffi, io, "
        .. "os.execute, debug, modules in C); it needs a kernel with Landlock. full: everything that the user who "
        .. "runs tidemill may do. The flag --trust overrides it." },
    { name = "network", type = "network", default = false,
      help = "Whether functions and hooks may open connections; or a list of the hosts and ports to which they may, "
        .. 'by TCP or UDP, as { "db.example.com:5432", "[::1]:6379" }. Only the names of these hosts are looked up. '
        .. "The engine's own connections do not need it." },
    { name = "files", type = "table", default_text = "none beside what loading the transforms needs", options = {
      { name = "read", type = "strings",
        help = "Files, and folders with all that is in them, that functions may read beside the pipeline's folder, "
          .. "those of its transforms and those of Lua's path. A path starts from the current folder." },
      { name = "write", type = "strings",
        help = "Files that functions may write and read, and folders in which they may make, change and remove "
          .. "files. Each must be there when the run starts." },
    }, help = "Which files functions may use: a table { read = PATHS, write = PATHS }." },
    { name = "env", type = "strings", default_text = "none beside TZ, LANG and LC_*",
      help = "The environment variables that functions see (tide.env, os.getenv), by name. Those that only the "
        .. "pipeline file itself uses need not be named." },
  },
  plan = function(values, tables)
    tables.join_timeout_us = values.join_timeout
    tables.message_timeout_us = values.message_timeout
    tables.start_timeout_us = values.start_timeout
    tables.retry_timeout_us = values.retry_timeout
    tables.target_latency_us = values.target_latency
    tables.memory_limit = values.memory_limit
    tables.load_memory = values.load_memory
    tables.worker_memory = values.worker_memory
    tables.core_dumps = values.core_dumps
    tables.stuck_detector_timeout_us = values.stuck_detector_timeout
    tables.broker_timeout_us = values.broker_timeout
    tables.state_dir = values.state_dir
    tables.exactly_once = values.delivery == "exactly_once"
    tables.sandbox = { trust = values.trust, network = values.network, files = values.files or {},
      env = values.env or {} }
  end,
}
