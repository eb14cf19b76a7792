-- SPDX-License-Identifier: MIT
-- metrics/list.lua: has every metric, once. The report, all exports, the board, the alert rules and docs/metrics.md are
-- made from it.
--
-- name    as in Arroyo, without the prefix; labels beside it
-- arroyo  what Arroyo calls it: its whole name; nil when Arroyo has no such metric
-- arroyo_kind, arroyo_labels  where these differ in Arroyo
-- arroyo_factor  by what a value is multiplied to be in Arroyo's unit
-- kind    counter (only grows), gauge (a state, observed), histogram (many single values)
-- counter the constant of enum tide_metric (shm/counters.h)
-- row     "step": one for each step that has workers; "engine": one in all
-- pool    it is of the step's pool: steps that share the pool have the same values, so that one of them stands for all
-- family  what the entries of one name have in common, in the first of them
-- partition  the field of engine:lags() that is reported for each partition too, with labels topic and partition
--
-- list.engines has what is exported of each of several engines, list.totals what is no counter of the engine, as totals
-- and the verdict: `total` is its field in the totals of a snapshot, `state` what metrics/prometheus.lua knows it by.
local list = {}

-- The names that Arroyo 2.42 has, without "arroyo.".
local ARROYO = {}
for name in ([[
  strategies.run_task_with_multiprocessing.batch.size.msg strategies.run_task_with_multiprocessing.batch.size.bytes
  strategies.run_task_with_multiprocessing.batch.submit.time
  strategies.run_task_with_multiprocessing.output_batch.size.msg
  strategies.run_task_with_multiprocessing.output_batch.size.bytes
  strategies.run_task_with_multiprocessing.batch.backpressure
  strategies.run_task_with_multiprocessing.batch.input.overflow
  strategies.run_task_with_multiprocessing.batch.output.overflow
  strategies.run_task_with_multiprocessing.batch.input.resize
  strategies.run_task_with_multiprocessing.batch.output.resize
  strategies.run_task_with_multiprocessing.batches_in_progress strategies.run_task_with_multiprocessing.processes
  strategies.run_task_with_multiprocessing.pool.create strategies.reduce.batch_time
  strategies.filter.dropped_messages
  consumer.run.count consumer.invalid_message.count consumer.poll.time consumer.processing.time
  consumer.backpressure.time consumer.dlq.time consumer.join.time consumer.callback.time consumer.shutdown.time
  consumer.run.callback consumer.run.close_strategy consumer.run.create_strategy consumer.partitions_revoked.count
  consumer.partitions_assigned.count consumer.latency consumer.pause consumer.resume consumer.stuck
  consumer.librdkafka.total_queue_size consumer.commit_status consumer.dlq_buffer.len consumer.dlq_buffer.exceeded
  consumer.dlq_buffer.assigned_partitions producer.produce_status producer.callback_latency
  producer.librdkafka.message_count producer.librdkafka.message_size producer.librdkafka.broker_txretries
  producer.librdkafka.p99_int_latency producer.librdkafka.p99_outbuf_latency producer.librdkafka.p99_rtt
  producer.librdkafka.message_count_max producer.librdkafka.message_size_max
]]):gmatch("%S+") do ARROYO[name] = "arroyo." .. name end

local function add(row, prefix, entries)
  for _, entry in ipairs(entries) do
    local name, labels, kind, unit, counter, help, advice = unpack(entry, 1, 7)
    list[#list + 1] = {
      name = prefix .. name, labels = labels or nil, kind = kind, unit = unit, counter = "TIDE_M_" .. counter,
      help = help, advice = advice, row = row, partition = entry.partition, pool = entry.pool, family = entry.family,
      arroyo = entry.arroyo or ARROYO[prefix .. name], arroyo_kind = entry.arroyo_kind,
      arroyo_labels = entry.arroyo_labels, arroyo_factor = entry.arroyo_factor,
    }
  end
end

add("step", "strategies.run_task_with_multiprocessing.", {
  { "batch.size.msg", nil, "histogram", "messages", "BATCH_SIZE_MSG", "Messages per batch.",
    "Flat: batches reach max_batch_size; raise it in large steps while the throughput grows." },
  { "batch.size.bytes", nil, "histogram", "bytes", "BATCH_SIZE_BYTES", "Bytes used in the input block per batch.",
    "Flat: batches fill the input block; raise input_block_size. Neither flat: batches reach max_batch_time." },
  { "output_batch.size.msg", nil, "histogram", "messages", "OUTPUT_BATCH_SIZE_MSG", "Results per batch." },
  { "output_batch.size.bytes", nil, "histogram", "bytes", "OUTPUT_BATCH_SIZE_BYTES",
    "Bytes used in the output block per batch." },
  { "batch.submit.time", nil, "histogram", "seconds", "BATCH_SUBMIT_TIME",
    "From the opening of a batch to its close: how long its first message waited for the others.",
    "Flat at max_batch_time: batches close by time." },
  { "batch.backpressure", nil, "counter", "times", "BATCH_BACKPRESSURE",
    "The next step took no result, since it was busy.",
    "Going up all the time: the next step is the bottleneck; processes can be fewer." },
  { "batch.input.overflow", nil, "counter", "times", "BATCH_INPUT_OVERFLOW",
    "A batch was closed early because the input block was full.", "Raise input_block_size, or leave it automatic." },
  { "batch.output.overflow", nil, "counter", "times", "BATCH_OUTPUT_OVERFLOW",
    "The output block was full before all messages of the batch were run; the rest is run in a further round.",
    "This is expensive. First see that there is no input overflow, then raise output_block_size." },
  { "batch.input.resize", nil, "counter", "times", "BATCH_INPUT_RESIZE", "The input block size was changed.",
    "Going up all the time: set input_block_size to the size it arrived at." },
  { "batch.output.resize", nil, "counter", "times", "BATCH_OUTPUT_RESIZE", "The output block size was changed.",
    "Going up all the time: set output_block_size to the size it arrived at." },
  { "batches_in_progress", nil, "gauge", "batches", "BATCHES_IN_PROGRESS", "Batches that workers run.",
    "Below processes: some workers are idle, and more processes will not make it faster." },
  { "processes", nil, "gauge", "processes", "PROCESSES", "Worker processes of the step's pool.", pool = true },
  { "pool.create", nil, "counter", "times", "POOL_CREATE", "The pool's processes were created.",
    "1 for each step. Arroyo makes its pool anew after a crash; here workers are replaced, see worker.lost." },
  { "pool.resize", nil, "counter", "times", "POOL_RESIZE", "The number of processes in use was changed.",
    "The log says why, each time. It changes where processes is \"auto\"." },
  { "batch.close", { reason = "size" }, "counter", "batches", "BATCH_CLOSE_SIZE", "Batches closed at max_batch_size.",
    family = "Batches closed, by the reason." },
  { "batch.close", { reason = "time" }, "counter", "batches", "BATCH_CLOSE_TIME", "Batches closed at max_batch_time." },
  { "batch.close", { reason = "block" }, "counter", "batches", "BATCH_CLOSE_BLOCK",
    "Batches closed because the input block was full." },
  { "batch.close", { reason = "idle" }, "counter", "batches", "BATCH_CLOSE_IDLE",
    "Batches closed early because the source had nothing more and a worker was idle (eager)." },
  { "batch.close", { reason = "run_time" }, "counter", "batches", "BATCH_CLOSE_RUN_TIME",
    "Batches closed early: their messages take a worker 50 ms, or have 1 MiB of results, as measured before (eager)." },
  { "batch.close", { reason = "retry" }, "counter", "batches", "BATCH_CLOSE_RETRY",
    "Batches of messages that are tried again, or have waited behind one that was (tide.retry)." },
  { "batch.close", { reason = "flush" }, "counter", "batches", "BATCH_CLOSE_FLUSH",
    "Batches closed at the end, or because a transaction waits for their messages." },
  { "worker.lost", { cause = "signal" }, "counter", "workers", "WORKER_LOST_SIGNAL",
    "Workers ended by a signal (a crash, a kill).",
    "The dead letters name the message; run it alone under a debugger.", pool = true, arroyo = "sigchld.detected",
    family = "Workers that were lost and replaced, by the cause." },
  { "worker.lost", { cause = "exit" }, "counter", "workers", "WORKER_LOST_EXIT",
    "Workers that exited by themselves (os.exit).",
    "A function calls os.exit; raise an error in its place.", pool = true, arroyo = "sigchld.detected" },
  { "worker.lost", { cause = "memory" }, "counter", "workers", "WORKER_LOST_MEMORY",
    "Workers replaced because they needed more than worker_memory.",
    "The dead letters name the message. If all messages are like that, raise worker_memory.", pool = true,
    arroyo = "sigchld.detected" },
  { "worker.lost", { cause = "cpu" }, "counter", "workers", "WORKER_LOST_CPU",
    "Workers replaced because they took more processor time for one message than max_cpu_time.",
    "The dead letters name the message.", pool = true, arroyo = "sigchld.detected" },
  { "worker.lost", { cause = "protocol" }, "counter", "workers", "WORKER_LOST_PROTOCOL",
    "Workers replaced because they broke the protocol: worker.violation says how.",
    "Memory was overwritten: look at C code called by the functions. If there is none, somebody attacks the engine.",
    pool = true, arroyo = "sigchld.detected" },
  { "worker.violation", { kind = "results" }, "counter", "times", "WORKER_VIOLATION_RESULTS",
    "What a worker wrote into its output block was malformed.",
    "The log names the worker and the fault; the messages of its batch are run again.", pool = true,
    family = "What workers did against the protocol, by what it was. Each was killed for it." },
  { "worker.violation", { kind = "message" }, "counter", "times", "WORKER_VIOLATION_MESSAGE",
    "A worker sent the engine something that is not a message of the protocol, or is not allowed at that "
      .. "moment.", "As for results.",
    pool = true },
  { "worker.violation", { kind = "progress" }, "counter", "times", "WORKER_VIOLATION_PROGRESS",
    "A worker published progress that cannot be true, for example less than before.", "As for results.", pool = true },
  { "worker.violation", { kind = "memory" }, "counter", "times", "WORKER_VIOLATION_MEMORY",
    "A worker touched output blocks that it was not given.", "As for results.", pool = true },
  { "worker.replaced", { cause = "messages" }, "counter", "workers", "WORKER_REPLACED_MESSAGES",
    "Workers replaced, without a pause, since they had run max_messages.", "Going up quickly: raise max_messages.",
    pool = true, family = "Workers replaced without a pause at a limit; they are not lost." },
  { "worker.replaced", { cause = "memory" }, "counter", "workers", "WORKER_REPLACED_MEMORY",
    "Workers replaced, without a pause, since they had grown by max_growth.",
    "Going up quickly: something in the functions keeps memory.", pool = true },
  { "worker.log.dropped", nil, "counter", "lines", "WORKER_LOG_DROPPED",
    "Lines of workers that were dropped, as they wrote more than max_log_lines in a second.",
    "The functions log too much: log less, or raise max_log_lines.", pool = true },
  { "worker.respawn.time", nil, "histogram", "seconds", "WORKER_RESPAWN_TIME",
    "Time from the loss of a worker until its replacement is ready, with the start hooks.", nil, pool = true },
  { "message.time", nil, "histogram", "seconds", "MESSAGE_TIME",
    "Mean time in the functions per message of a batch, once for each of its messages: max is the mean of the slowest "
      .. "batch, not the slowest message.",
    "To find single slow messages set max_batch_size = 1 for a while, or measure them: tide.metric.timing." },
  { "message.retry", nil, "counter", "times", "MESSAGE_RETRY", "A function returned tide.retry.",
    "Going up: what the function needs (a lookup) is down; the log has its reason." },
  { "retry.time", nil, "counter", "microseconds", "RETRY_TIME",
    "Time in which a message waited to be tried again (tide.retry), together with the messages behind it in its "
      .. "partition.",
    "Near 1 s per second: what the functions need is down; the verdict names the partition that waits." },
  { "worker.busy.time", nil, "counter", "microseconds", "WORKER_BUSY_TIME",
    "Time that workers had a batch, from the moment it is given to them until their report is read, over all workers.",
    "Its rate divided by processes is the share of the workers that is in use." },
  { "worker.run.time", nil, "counter", "microseconds", "WORKER_RUN_TIME",
    "Time that workers were in the functions, over all workers: the rest of worker.busy.time is what batches cost.",
    "Far below worker.busy.time: batches are too small." },
  { "worker.cpu.time", nil, "counter", "microseconds", "WORKER_CPU_TIME",
    "Processor time of the workers in the functions: the rest of worker.run.time is worker.delay.time and waiting.",
    "Near worker.run.time: the functions compute, so more processes than cores do not help. Far below: they wait." },
  { "worker.delay.time", nil, "counter", "microseconds", "WORKER_DELAY_TIME",
    "Time in the functions in which workers were ready to run and had no core.",
    "A large part of worker.run.time: this machine has more processes than cores, of the pipeline or of other "
      .. "programs." },
  { "worker.slow_message.time", nil, "counter", "microseconds", "WORKER_SLOW_MESSAGE_TIME",
    "Time that workers spent on messages that took more than 100 ms each.",
    "A large part of worker.run.time, while most messages are quick: find the slow ones." },
  { "blocked.time", { cause = "next_step" }, "counter", "microseconds", "BLOCKED_NEXT_STEP",
    "Time that the step took no message, since the next step did not take the results of its oldest batch.",
    "Near 1 s per second: the next step is the bottleneck; processes can be fewer.",
    family = "Time that the step took no message, by the cause." },
  { "blocked.time", { cause = "dlq" }, "counter", "microseconds", "BLOCKED_DLQ",
    "Time that the step took no message, since the dead letter queue did not take one.",
    "See why the topic or file of the dead letters is slow." },
  { "blocked.time", { cause = "oldest" }, "counter", "microseconds", "BLOCKED_OLDEST",
    "Time that the step took no message, since its oldest batch was run while others after it were done and a worker "
      .. "was idle.", "One batch delays the others: find its slow message, or make batches smaller." },
  { "blocked.time", { cause = "workers" }, "counter", "microseconds", "BLOCKED_WORKERS",
    "Time that the step took no message, since its batches were with the workers.",
    "Near 1 s per second: the workers are the bottleneck." },
  { "blocked.time", { cause = "retry" }, "counter", "microseconds", "BLOCKED_RETRY",
    "Time that the step took no message, since those that wait to be tried again (tide.retry) fill an input block.",
    "What the functions need is down; the log has its reason." },
  { "batch.filling.time", nil, "counter", "microseconds", "BATCH_FILLING_TIME",
    "Time in which a batch was being filled and no other was sealed: its messages waited only for more messages.",
    "Near 1 s per second, and batches close by time: a shorter max_batch_time, or eager, lowers the latency." },
  { "input_block.bytes", nil, "gauge", "bytes", "INPUT_BLOCK_BYTES", "Current size of an input block." },
  { "output_block.bytes", nil, "gauge", "bytes", "OUTPUT_BLOCK_BYTES", "Current size of an output block." },
  { "lanes.waiting", nil, "gauge", "messages", "LANES_WAITING",
    'Messages of full lanes (order = "key"), which wait while another lane has little to do.',
    "Many all the time: few keys have most of the messages, and one worker at a time runs those of a key." },
})

add("step", "strategies.", require("tidemill.metrics.list_steps"))

add("engine", "strategies.", {
  { "healthcheck.touch", nil, "counter", "times", "HEALTHCHECK_TOUCH", "The file of healthcheck was touched.",
    "Not going up: messages are stuck, or the file cannot be written (see the log).",
    arroyo = "arroyo.processing.strategies.healthcheck.touch" },
})

add("engine", "consumer.", {
  { "run.count", nil, "counter", "turns", "RUN_COUNT", "Turns of the engine's loop." },
  { "time", { spent = "busy" }, "counter", "microseconds", "TIME_BUSY",
    "Time in which the engine did not wait, since the first message. The three kinds add up to all of its time.",
    "Near 1 s per second: the engine's one core is the bottleneck.",
    family = "Time of the engine since the first message, by what it did." },
  { "time", { spent = "waiting_for_source" }, "counter", "microseconds", "TIME_SOURCE",
    "Time of the engine in which it waited and the source had nothing more.",
    "Near 1 s per second under lag: the source is the bottleneck." },
  { "time", { spent = "waiting_for_steps" }, "counter", "microseconds", "TIME_STEPS",
    "Time of the engine in which it waited and the first step took nothing, or the run was ending." },
  { "blocked.time", nil, "counter", "microseconds", "TIME_BLOCKED",
    "Time in which the first step took nothing.", "blocked.time of the steps has the cause." },
  { "cpu.time", nil, "counter", "microseconds", "TIME_CPU", "Processor time of the engine's thread.",
    "Far below time{spent=busy}: other processes take the core." },
  { "invalid_message.count", nil, "counter", "messages", "INVALID_MESSAGE_COUNT", "Messages that were rejected.",
    "The dead letters have the reasons." },
  { "poll.time", nil, "histogram", "seconds", "POLL_TIME", "Time reading the source or waiting for it, per second.",
    "Near 1: the engine is idle; the source is the bottleneck." },
  { "processing.time", nil, "histogram", "seconds", "PROCESSING_TIME",
    "Time of the engine itself in the steps, per second; the functions run beside it, in the workers.",
    "Near 1: the engine's one core is the bottleneck; run several engines (`engines`)." },
  { "backpressure.time", nil, "histogram", "seconds", "BACKPRESSURE_TIME",
    "How long one period of backpressure lasted.", "See batch.backpressure of the steps to find the slow one." },
  { "join.time", nil, "histogram", "seconds", "JOIN_TIME",
    "Time of waiting for messages in flight: at the end, and before revoked partitions are given back." },
  { "shutdown.time", nil, "histogram", "seconds", "SHUTDOWN_TIME", "From the request to stop to the end.",
    "Near join_timeout: messages in flight do not become complete in time." },
  { "partitions_assigned.count", nil, "counter", "partitions", "PARTITIONS_ASSIGNED", "Partitions that were assigned "
    .. "to this engine." },
  { "partitions_revoked.count", nil, "counter", "partitions", "PARTITIONS_REVOKED",
    "Partitions taken from this engine.",
    "Going up all the time: rebalances; set instance, or look for engines that restart." },
  { "callback.time", nil, "histogram", "seconds", "CALLBACK_TIME",
    "Time spent answering assignments and revocations, per second; it overlaps the other times." },
  { "run.callback", { callback_name = "on_partitions_assigned" }, "histogram", "seconds", "RUN_CALLBACK_ASSIGNED",
    "Answering one assignment.", family = "Answering one assignment or revocation." },
  { "run.callback", { callback_name = "on_partitions_revoked" }, "histogram", "seconds", "RUN_CALLBACK_REVOKED",
    "From a revocation until the partitions are given back: due delivery reports and the commit.",
    "Seconds: the brokers are slow to commit. The functions are never waited for." },
  { "run.create_strategy", nil, "histogram", "seconds", "RUN_CREATE_STRATEGY",
    "Making the steps and loading the functions: once, at the start. Unlike in Arroyo, assignments do not make them "
      .. "again.",
    "Large: an init hook or a required module takes long." },
  { "run.close_strategy", nil, "histogram", "seconds", "RUN_CLOSE_STRATEGY",
    "Closing the steps until all messages in flight are complete: once, at the end.",
    "Near join_timeout: messages in flight do not become complete in time." },
  { "latency", nil, "histogram", "seconds", "LATENCY",
    "Time from a message's timestamp until it is complete, so that its offset may be committed; measured for one "
      .. "message a second.",
    "Above lag.seconds: the time passes in the pipeline, not in the topic." },
  { "pause", nil, "counter", "times", "PAUSE", "Reading was paused after 5 s of backpressure." },
  { "resume", nil, "counter", "times", "RESUME", "Reading went on after a pause." },
  { "commit_status", { status = "ok" }, "counter", "commits", "COMMIT_OK", "Commits that succeeded.",
    arroyo_labels = { status = "success" }, family = "Commits, by their outcome." },
  { "commit_status", { status = "error" }, "counter", "commits", "COMMIT_ERROR", "Commits that failed.",
    "The log says why; offsets stay uncommitted, so a restart reads them again." },
  { "commit.time", nil, "histogram", "seconds", "COMMIT_TIME", "Time from a request to commit until its answer.",
    "Long: the coordinator is slow, or a join of the group delayed it." },
  { "late_reports", nil, "counter", "reports", "LATE_REPORTS",
    "Delivery reports of messages whose partition was revoked meanwhile: they are delivered, and the next owner reads "
      .. "them again.",
    "So many duplicates are possible; a smaller linger.ms or max_buffer_size makes them fewer." },
  { "refetched", nil, "counter", "messages", "REFETCHED",
    "Messages that were fetched again although they had been read: dropped by their offset.",
    "Not 0: a partition was rewound, but not by the engine; until it has been read up to where it was, nothing new "
      .. "comes of it. Please report it." },
  { "librdkafka.total_queue_size", nil, "gauge", "messages", "CONSUMER_QUEUE_SIZE", "Messages fetched, not read yet.",
    "Empty under lag: the brokers or the network are the bottleneck." },
  { "lag", nil, "gauge", "messages", "LAG",
    "Messages that are not read yet, up to the ends of the partitions: of all together, and of each partition.",
    "Growing: see which step is slow, add processes or engines. Of one partition only: its keys are hot.",
    partition = "messages" },
  { "lag.seconds", nil, "gauge", "seconds", "LAG_SECONDS",
    "Age of the newest message that was read, or 0 if all are read: of the partition with the largest age, and of "
      .. "each.",
    "Growing: as for lag.", partition = "seconds" },
  { "stuck", nil, "counter", "times", "STUCK",
    "There was no progress for stuck_detector_timeout while messages were in flight.",
    "The log says what they wait for." },
  { "script_metrics.dropped", nil, "counter", "calls", "SCRIPT_METRICS_DROPPED",
    "Calls of tide.metric that counted nothing: a bad name or value, a name that is used for two kinds, a 65th name.",
    "The log names the first one for each reason and worker, with the line of the script." },
  { "zygote.violation", nil, "counter", "events", "ZYGOTE_VIOLATION",
    "Events of the zygote that broke the protocol. They were ignored.",
    "The zygote runs the user's code while that is loaded: look at C code called there. Start the engine again." },
})
for _, of in ipairs { "lookup", "table", "reload" } do
  add("engine", "consumer.", require("tidemill.metrics.list_" .. of))
end

add("engine", "producer.", require("tidemill.metrics.list_producer"))
add("engine", "state.", require("tidemill.metrics.list_state"))

add("engine", "dlq.", {
  { "messages", nil, "counter", "messages", "DLQ_MESSAGES", "Dead letters written and acknowledged." },
  { "failed", nil, "counter", "times", "DLQ_FAILED", "A dead letter was not taken by its topic or file.",
    "The log says why; see on_failure." },
  { "truncated", nil, "counter", "messages", "DLQ_TRUNCATED", "Dead letters too large for their topic, cut to fit.",
    "Raise the dlq topic's max.message.bytes to that of the input." },
})

add("engine", "consumer.", {
  { "dlq.time", nil, "histogram", "seconds", "DLQ_TIME",
    "Writing a dead letter, without waiting for its acknowledgement." },
  { "dlq_buffer.len", nil, "gauge", "messages", "DLQ_WAITING", "Dead letters not yet acknowledged.",
    "Growing: the dead letters' topic or disk is slow or gone; offsets wait for them." },
  { "dlq_buffer.exceeded", nil, "counter", "times", "DLQ_EXCEEDED",
    "A bad message had to wait, since too many dead letters of its partition waited already.",
    "Raise max_buffered_messages_per_partition, or see why the dlq is slow." },
  { "dlq_buffer.assigned_partitions", nil, "gauge", "partitions", "DLQ_PARTITIONS",
    "Partitions with dead letters not yet acknowledged." },
})

list.totals = {
  { name = "messages.read", total = "read", kind = "counter", unit = "messages", help = "Messages read." },
  { name = "messages.produced", total = "produced", kind = "counter", unit = "messages",
    help = "Messages acknowledged by the output." },
  { name = "messages.produced_from", total = "produced_from", kind = "counter", unit = "messages",
    help = "Messages read whose outputs are all acknowledged." },
  { name = "messages.filtered", total = "filtered", kind = "counter", unit = "messages",
    help = "Messages read for which no function returned anything." },
  { name = "messages.dead_lettered", total = "dead_lettered", kind = "counter", unit = "messages",
    help = "Messages read that became dead letters.", advice = "The dead letters have the reasons." },
  { name = "messages.dropped", total = "dropped", kind = "counter", unit = "messages",
    help = "Messages read whose partition went to another engine before they were complete; that one reads them "
      .. "again." },
  { name = "messages.in_flight", total = "in_flight", kind = "gauge", unit = "messages",
    help = "Messages read and not complete: read - produced_from - filtered - dead_lettered - dropped." },
  { name = "verdict", state = "verdict", kind = "gauge", unit = "limit",
    help = "The present limit: 1 for this value of the label limit, 0 for all others.",
    advice = "`tidemill doctor` says with the numbers why, and what to change." },
  { name = "verdict.step", state = "verdict_step", kind = "gauge", unit = "step",
    help = "The step that the verdict is about, as in the label step; 0 when it is not about one step." },
  { name = "ready", state = "ready", kind = "gauge", unit = "state", help = "1 while messages are processed, else 0." },
  { name = "start_time", state = "start_time", kind = "gauge", unit = "seconds",
    help = "When this process began, in seconds since 1970.", advice = "Changes often: the process restarts." },
  { name = "build_info", state = "build_info", kind = "gauge", unit = "info",
    help = "Always 1; the label version has the version of tidemill." },
}

--- What the supervisor of several engines exports of each, with the label engine.
list.engines = {
  { name = "engine.up", kind = "gauge", unit = "state", help = "1 while this engine reads, else 0.",
    advice = "0 for long: the log says why it does not start to read." },
  { name = "engine.lost", kind = "counter", unit = "times",
    help = "How often this engine was lost (a crash, out of memory) and is started again.",
    advice = "The log says how it ended." },
}

--- The limits that a verdict may name, in the order of the tuning procedure.
list.limits = { "none", "source", "batch_size", "batch_time", "input_block", "output_block", "workers", "script",
  "next_step", "broker", "commit", "engine" }

--- name with its labels: "worker.lost{cause=exit,step=1}". more: an array of { name, value } beside its own.
function list.full_name(metric, more)
  if not metric.labels and (not more or #more == 0) then return metric.name end
  local parts = {}
  for label, value in pairs(metric.labels or {}) do parts[1] = ("%s=%s"):format(label, value) end
  for _, label in ipairs(more or {}) do parts[#parts + 1] = ("%s=%s"):format(label[1], label[2]) end
  return #parts > 0 and ("%s{%s}"):format(metric.name, table.concat(parts, ",")) or metric.name
end

return list
