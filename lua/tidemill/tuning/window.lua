-- SPDX-License-Identifier: MIT
-- tuning/window.lua: what happened between two snapshots, as shares of the time and of the batches: what the advisor
-- and the controller of sizes judge by. One event says nothing: a batch that closes by time or a result that is not
-- taken at once is normal, and becomes a limit when it goes on for most of a window.
--
-- window.of(first, last, setting) -> window. first and last are snapshots (metrics/snapshot.lua; of them `metrics`, by
-- the names of the report, and of the last one `steps[n].sizes` and `steps[n].processes` are read); first = nil means
-- the start of the run, and then the window is the whole run. A window is:
--
--   seconds            since the first message was read, without connecting and leaving
--   messages           read in it
--   lag                mean lag in messages; nil = unknown, as of a pipe
--   lag_certain        it is of Kafka, and of three seconds at least
--   setting            as given
--   engine  busy, source, steps, blocked, cpu    shares of the time: it worked; it waited, and the source had nothing
--                      more; it waited for steps; the first step took nothing (overlaps busy and steps); on
--                      the processor
--   output  full, hold, latency   the output took less than it was offered; a transaction was ending (shares of the
--                      time); mean seconds to the acknowledgement
--   steps[n]           of each step with workers:
--     processes, max_batch_size, max_batch_time (s), eager, input_block_size, output_block_size,
--     auto = { option = true }
--     batches, messages, mean (messages a batch), bytes (a batch), open_time (mean seconds that a batch was filled)
--     closes = { size, time, block, idle, run_time, retry, flush }   shares of the batches
--     input_overflow, output_overflow   times per batch
--     blocked = { next_step, dlq, oldest, workers, retry }, filling   shares of the time
--     retry, waits       share of the time in which messages waited for tide.retry; what waits now (engine:retry_wait)
--     sharing            the numbers of all steps of its pool
--     own                share of the workers' time: with a batch of this step
--     busy, run          shares of the workers' time, of all steps of the pool: with a batch; in the functions
--     cpu, delay, slow   shares of the time in the functions: on the processor; ready to run and without a core (of all
--                        steps of the pool); at messages of more than 100 ms
--     overhead           share of `busy` that batches cost
--     message_time       mean seconds in the functions
--
-- setting (window.setting makes it of a plan): cores, source and output = "kafka", "file", "memory" or "none",
-- dlq_topic (bool), commit_interval (s), steps = { { processes, pool (its number; nil = one of its own),
-- max_batch_size, max_batch_time, eager, auto, ... } }.
local cores = require("tidemill.plan.cores")

local window = {}

--- A batch costs a worker no more than so many microseconds beside what is done for its messages.
window.WORKER_BATCH_US = 100

local TASK = "strategies.run_task_with_multiprocessing."
local CLOSES = { "size", "time", "block", "idle", "run_time", "retry", "flush" }
local CAUSES = { "next_step", "dlq", "oldest", "workers", "retry" }
local LAGS = 3 -- observations, one a second, below which a mean lag is no more than a moment's
local MEDIA = { TIDE_MEDIUM_KAFKA = "kafka", TIDE_MEDIUM_FILE = "file", TIDE_MEDIUM_MEMORY = "memory" }

local function step_setting(plan, step)
  return {
    processes = (plan.pools_begin or plan.pools)[(step.pool or 0) + 1], pool = step.pool,
    max_batch_size = step.max_batch_size, max_batch_time = step.max_batch_time_us / 1e6, eager = step.eager,
    input_block_size = step.input_block_size, output_block_size = step.output_block_size,
    auto = { input_block_size = step.auto_input or nil, output_block_size = step.auto_output or nil },
  }
end

--- What a plan sets, as far as it is judged.
function window.setting(plan)
  local tables, steps = plan.tables, {}
  for _, step in ipairs(tables.steps) do
    if step.kind == "TIDE_STEP_TASK" or step.kind == "TIDE_STEP_REDUCE" then
      steps[#steps + 1] = step_setting(tables, step)
    end
  end
  return { cores = tables.cores or cores.usable(), source = MEDIA[tables.source.medium] or "none",
    output = MEDIA[tables.sink.medium] or "none",
    dlq_topic = tables.dlq.kind == "TIDE_DLQ_TOPIC", commit_interval = (tables.commit.min_time_us or 0) / 1e6,
    steps = steps }
end

-- Returns a function that tells what a metric has grown by: its count, or with `field` its sum.
local function growth(first, last)
  return function(name, field)
    local now, before = last.metrics[name], first and first.metrics[name]
    local function number(value)
      return type(value) == "table" and value[field or "count"] or value or 0
    end
    return number(now) - number(before)
  end
end

local function ratio(part, whole)
  return whole > 0 and part / whole or 0
end

-- Adds what the batches of a step were like.
local function add_batches(step, grown)
  step.batches, step.messages = grown "batch.size.msg", grown("batch.size.msg", "sum")
  step.mean, step.bytes = ratio(step.messages, step.batches), ratio(grown("batch.size.bytes", "sum"), step.batches)
  step.open_time = ratio(grown("batch.submit.time", "sum"), step.batches)
  step.input_overflow = ratio(grown "batch.input.overflow", step.batches)
  step.output_overflow = ratio(grown "batch.output.overflow", step.batches)
  step.resizes = grown "batch.input.resize" + grown "batch.output.resize"
  step.closes = {}
  for _, reason in ipairs(CLOSES) do
    step.closes[reason] = ratio(grown(("batch.close{reason=%s}"):format(reason)), step.batches)
  end
end

-- A batch costs a worker its way there and back, of which a sleeping process that has to be woken is the largest part.
-- What is missing beyond that is no cost of batches: no core was free, or the engine had not looked at the report yet.
local function overhead_of(step, run, busy)
  if run == 0 then return 0 end -- without a report nothing is known of it
  local most = step.batches * (1 + step.output_overflow) * window.WORKER_BATCH_US
  return math.max(0, math.min(busy - run, most)) / busy
end

-- Adds what the workers of a step did, and what it waited for. `time`: of the window, in microseconds.
local function add_times(step, grown, time)
  local busy, run = grown "worker.busy.time", grown "worker.run.time"
  step.blocked = {}
  for _, cause in ipairs(CAUSES) do
    step.blocked[cause] = ratio(grown(("blocked.time{cause=%s}"):format(cause)), time)
  end
  step.filling = ratio(grown "batch.filling.time", time)
  step.retry = ratio(grown "retry.time", time)
  step.own = ratio(busy, time * step.processes)
  step.overhead = overhead_of(step, run, busy)
  step.spent = { busy = busy, run = run, cpu = grown "worker.cpu.time", delay = grown "worker.delay.time" }
  step.slow = ratio(grown "worker.slow_message.time", run)
  step.message_time = ratio(run / 1e6, step.messages)
end

-- Steps that share a pool have the same workers: whether these are in use, and with what, is a matter of all of them.
local function add_pools(steps, time)
  local pools = {}
  for number, step in ipairs(steps) do
    local key = step.pool or -number
    local pool = pools[key] or { sharing = {}, busy = 0, run = 0, cpu = 0, delay = 0 }
    pools[key] = pool
    pool.sharing[#pool.sharing + 1] = number
    for name, spent in pairs(step.spent) do pool[name] = pool[name] + spent end
  end
  for number, step in ipairs(steps) do
    local pool = pools[step.pool or -number]
    step.sharing, step.spent = pool.sharing, nil
    step.busy, step.run = ratio(pool.busy, time * step.processes), ratio(pool.run, time * step.processes)
    step.cpu, step.delay = ratio(pool.cpu, pool.run), ratio(pool.delay, pool.run)
  end
end

-- Sizes of the moment go before those of the plan: a controller may have changed them.
local function step_of(number, grown, time, setting, now)
  local step = {}
  for name, value in pairs(setting.steps[number]) do step[name] = value end
  for name, value in pairs(now and now.sizes or {}) do
    if type(value) == "number" then step[name] = value end
  end
  step.processes, step.waits = now and now.processes or step.processes, now and now.retry
  add_batches(step, grown)
  add_times(step, grown, time)
  return step
end

-- A metric of a step, by its own name where there is only one step.
local function of_step(grown, number, count)
  return function(name, field)
    if count == 1 then return grown(TASK .. name, field) end
    local plain, labels = name:match "^(.-){(.*)}$"
    return grown(("%s%s{%sstep=%d}"):format(TASK, plain or name, labels and labels .. "," or "", number), field)
  end
end

--- The window between two snapshots; see above.
function window.of(first, last, setting)
  local grown = growth(first, last)
  local busy, source, waiting = grown "consumer.time{spent=busy}", grown "consumer.time{spent=waiting_for_source}",
    grown "consumer.time{spent=waiting_for_steps}"
  local time, lags = busy + source + waiting, grown "consumer.lag"
  local made = { seconds = time / 1e6, setting = setting, steps = {},
    messages = last.totals.read - (first and first.totals.read or 0),
    lag = lags > 0 and setting.source ~= "file" and grown("consumer.lag", "sum") / lags or nil,
    lag_certain = lags >= LAGS and setting.source == "kafka",
    engine = { busy = ratio(busy, time), source = ratio(source, time), steps = ratio(waiting, time),
      blocked = ratio(grown "consumer.blocked.time", time), cpu = ratio(grown "consumer.cpu.time", time) },
    output = { full = ratio(grown "producer.full.time", time),
      hold = ratio(grown "producer.transaction.hold.time", time),
      latency = ratio(grown("producer.callback_latency", "sum"), grown "producer.callback_latency") },
  }
  for number = 1, #setting.steps do
    made.steps[number] = step_of(number, of_step(grown, number, #setting.steps), time, setting,
      last.steps and last.steps[number])
  end
  add_pools(made.steps, time)
  return made
end

return window
