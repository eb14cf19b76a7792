-- SPDX-License-Identifier: MIT
-- metrics/snapshot.lua: a snapshot is what is known of a run at one moment, as a plain table: what GET /status answers.
-- The advisor, the exporters, the dashboard and `tidemill top` all read it, so it says the same to all of them. It is
-- made once a second, from counters that the engine keeps anyway.
local ffi = require("ffi")
local metrics = require("tidemill.metrics")
local tide = require("tidemill.run.ffi")

local snapshot = {}

--- The form of the snapshot. It rises when a field goes away or changes its meaning; new fields do not change it.
snapshot.VERSION = 1

local RATES = { "read", "produced", "filtered", "dead_lettered" }
local KIND = { TIDE_STEP_TASK = "run_task_with_multiprocessing", TIDE_STEP_REDUCE = "reduce" }

-- The totals, with the lag left out while it is unknown.
local function totals_of(engine)
  local totals = engine:totals()
  if totals.lag < 0 then totals.lag = nil end
  if totals.lag_seconds < 0 then totals.lag_seconds = nil end
  return totals
end

-- Messages a second since the snapshot before.
local function rates_of(totals, before, seconds)
  local rates = {}
  for _, name in ipairs(RATES) do
    rates[name] = seconds > 0 and (totals[name] - before.totals[name]) / seconds or 0
  end
  return rates
end

local function gauge(engine, row, name)
  return engine:counter(row, "TIDE_M_" .. name).last
end

local function count(engine, row, name)
  return engine:counter(row, "TIDE_M_" .. name).count
end

local CLOSES = { "size", "time", "block", "idle", "run_time", "retry", "flush" }

-- What a step with workers has counted in all; steps_of makes rates of it.
local function counts_of(engine, row)
  local counts = { input = count(engine, row, "BATCH_INPUT_OVERFLOW"),
    output = count(engine, row, "BATCH_OUTPUT_OVERFLOW"), backpressure = count(engine, row, "BATCH_BACKPRESSURE") }
  for _, reason in ipairs(CLOSES) do counts[reason] = count(engine, row, "BATCH_CLOSE_" .. reason:upper()) end
  return counts
end

-- The workers of a pool, and the totals of each slot, for the next snapshot. earlier: those of the snapshot before.
-- Steps that share a pool show the same workers. Slots that are not in use are left out.
local function workers_of(engine, pool, earlier, seconds)
  local workers, totals = {}, {}
  while true do
    local slot = #totals
    local seen = engine:worker(pool, slot)
    if not seen then return workers, totals end
    local was = earlier and earlier[slot + 1]
    local function rate(name)
      return was and seconds > 0 and (seen[name] - was[name]) / seconds or 0
    end
    totals[slot + 1] = seen
    if seen.in_use or seen.pid then
      workers[#workers + 1] = { slot = slot, pid = seen.pid, state = seen.state,
        busy = math.min(1, rate "busy_us" / 1e6), messages = rate "messages", lost = seen.lost }
    end
  end
end

-- The sizes that hold now, their maxima, and which of them are automatic. Times are in seconds.
local function sizes_of(engine, plan, row)
  local sizes, step, auto = engine:sizes(row), plan.tables.steps[row], {}
  local limits = plan.tables.pool_limits[(step.pool or 0) + 1]
  for name, is in pairs(plan.tables.automatic[row]) do auto[name] = is or nil end
  auto.processes = limits.auto or nil
  return { max_batch_size = sizes.max_batch_size, max_batch_time = sizes.max_batch_time_us / 1e6,
    input_block_size = sizes.input_block_size, output_block_size = sizes.output_block_size,
    max_input_block_size = step.max_input_block_size, max_output_block_size = step.max_output_block_size,
    max_processes = limits.max, auto = auto }
end

local function step_of(engine, plan, number, row, earlier, seconds)
  local counts = counts_of(engine, row)
  local function rate(name)
    local was = earlier and earlier[number]
    return was and seconds > 0 and (counts[name] - was[name]) / seconds or 0
  end
  local step = plan.tables.steps[row]
  local event_time = step.time and { watermark_lag = gauge(engine, row, "KEYED_WATERMARK_LAG"),
    waiting_timers = gauge(engine, row, "KEYED_WAITING_TIMERS") }
  local closes = {}
  for _, reason in ipairs(CLOSES) do closes[reason] = rate(reason) end
  local workers
  workers, counts.workers = workers_of(engine, step.pool or 0,
    earlier and earlier[number] and earlier[number].workers, seconds)
  return {
    number = number, kind = KIND[step.kind], stage = step.stage,
    processes = gauge(engine, row, "PROCESSES"), batches_in_progress = gauge(engine, row, "BATCHES_IN_PROGRESS"),
    sizes = sizes_of(engine, plan, row),
    closes = closes, overflow = { input = rate("input"), output = rate("output") }, backpressure = rate("backpressure"),
    workers = workers, retry = engine:retry_wait(row), event_time = event_time,
  }, counts
end

-- The steps that have workers, and what they have counted, for the next snapshot.
local function steps_of(engine, plan, earlier, seconds)
  local steps, all = {}, {}
  for number, row in ipairs(metrics.task_rows(plan)) do
    steps[number], all[number] = step_of(engine, plan, number, row, earlier, seconds)
  end
  return steps, all
end

local function partitions_of(engine)
  local partitions = {}
  for i, lag in ipairs(engine:lags()) do
    partitions[i] = { topic = lag.topic, partition = lag.partition, lag = lag.messages, lag_seconds = lag.seconds }
  end
  return partitions
end

--- The slowest messages of the last minute, as engine:slow_messages tells them, with `step` = the number of the step.
function snapshot.slow_messages(engine, plan)
  local numbers, list = {}, engine:slow_messages()
  for number, row in ipairs(metrics.task_rows(plan)) do numbers[row] = number end
  for _, slow in ipairs(list) do slow.step, slow.row = numbers[slow.row], nil end
  return list
end

--- Returns the snapshot, and what the next one is to be given: `before`, or nil for the first one. run: pid, started
--- (milliseconds since the epoch), ready.
function snapshot.new(engine, plan, run, before)
  local time = tonumber(tide.C.tide_clock_wall_ms())
  local totals = totals_of(engine)
  local clock_us = tonumber(tide.C.tide_clock_us()) -- for the rates, since it never jumps
  local seconds = before and (clock_us - before.clock_us) / 1e6 or 0
  local steps, counts = steps_of(engine, plan, before and before.counts, seconds)
  local made = {
    version = snapshot.VERSION, name = plan.name, program = "tidemill " .. ffi.string(tide.C.tide_version()),
    pid = run.pid, uptime = (time - run.started) / 1000, state = engine:state(), ready = run.ready, time = time,
    totals = totals, rates = rates_of(totals, before, seconds),
    verdict = { limit = "none", since = 0, text = "", evidence = {}, procedure = {} },
    steps = steps, partitions = partitions_of(engine), dead_letters = engine:dead_letters(),
    slow_messages = snapshot.slow_messages(engine, plan), lookups = engine:lookups(), tables = engine:tables(),
    metrics = metrics.collect(engine, plan, true),
  }
  made.revision, made.reload = engine:revision()
  return made, { clock_us = clock_us, totals = totals, counts = counts }
end

return snapshot
