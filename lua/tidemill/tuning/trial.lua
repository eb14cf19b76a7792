-- SPDX-License-Identifier: MIT
-- tuning/trial.lua: one run of a pipeline with given settings, to measure it: in a process of its own, from the backlog
-- or from the pipeline's own topic, without commits, and with outputs that are discarded or go to a scratch topic.
local child = require("tidemill.tuning.child")
local engines = require("tidemill.run.engine")
local exit_code = require("tidemill.plan.exit_code")
local meter = require("tidemill.tuning.meter")
local plan = require("tidemill.plan.plan")
local posix = require("tidemill.run.posix")
local processes = require("tidemill.tuning.processes")
local settings = require("tidemill.tuning.settings")
local tide = require("tidemill.run.ffi")
local C = tide.C

local trial = {}

local PARTITIONS = 8 -- of the backlog in memory
local PROBE = 16 -- messages that go through first: they make the engine know how long a message takes
local PROBE_TIME = 1 -- seconds that they may take
local WARM = 0.3 -- the part of a trial's time that passes before it is measured
local PATIENCE = 10 -- as many times as long a trial may take when its messages are slow
local LEAPS = 6 -- so many times batches must have become complete
local CONNECT = 60 -- seconds until the first message of a topic must be there
local LEAVE = 2 -- seconds for the goodbye to the brokers
local ENDLESS = 1e15 -- messages

local function failure(text, code)
  return { failed = text, code = code }
end

local function any_eager(job)
  for _, step in ipairs(job.steps) do
    if step.values.eager then return true end
  end
end

-- The backlog is read again and again. A few messages go first, as in a pipeline that has run before: without them the
-- first batches would be filled without knowing how long a message takes.
local function feed(run, job)
  local backlog, source = job.backlog, C.tide_engine_source(run.engine.handle)
  local probe = any_eager(job) and math.min(PROBE, backlog.count) or 0
  if probe > 0 then
    backlog:push(source, PARTITIONS, 1, probe)
    run.meter:turn_until(function(look) return look.complete >= probe end, PROBE_TIME)
  end
  backlog:push(source, PARTITIONS, probe + 1, backlog.count)
  C.tide_memory_repeat(source, ENDLESS)
  return run.meter:look()
end

local function pids_of(engine, pools)
  local pids = { posix.getpid(), engine:zygote_pid() }
  for pool, count in ipairs(pools) do
    for i = 0, count - 1 do pids[#pids + 1] = engine:worker_pid(pool - 1, i) end
  end
  return pids
end

-- Returns the measurement. When the backlog has ended before the engine was warm, it is that of the whole run.
local function measure(run, job, begun)
  local meter_of, seconds, most = run.meter, job.seconds, job.count or math.huge
  meter_of:begin(pids_of(run.engine, run.plan.tables.pools))
  local base = begun and begun.complete or 0
  local start = begun and begun.time or 0
  local look = meter_of:turn_until(function(seen)
    return seen.time >= start + seconds * WARM and seen.complete > base or seen.read >= most
  end, seconds * PATIENCE)
  if not look or look.read >= most then return meter_of:finish() end
  meter_of:begin(pids_of(run.engine, run.plan.tables.pools))
  local leaps, last, begin = 0, look.complete, look.time
  meter_of:turn_until(function(seen)
    if seen.complete > last then leaps, last = leaps + 1, seen.complete end
    return seen.time >= begin + seconds and leaps >= LEAPS or seen.read >= most
  end, seconds * PATIENCE / 2)
  return meter_of:finish()
end

-- A topic: the time until its first message is no part of the trial. An empty one has ended by then.
local function connect(run)
  local look = run.meter:turn_until(function(seen) return seen.read > 0 end, CONNECT)
  if look and look.read == 0 then
    return nil, failure(("no message came within %d s"):format(CONNECT), exit_code.UNREACHED)
  end
  return look
end

local function leave(run)
  if run.meter.ended then return end
  run.engine:close()
  run.meter:turn_until(function() return false end, LEAVE)
end

-- The memory of the backlog is no part of what the pipeline takes: the copy of the source, and the part that these
-- processes have of the one that they share with `tidemill tune` itself.
local function without_backlog(measurement, job, copy, count)
  if not job.backlog then return end
  measurement.memory = math.max(0, measurement.memory - copy - job.backlog.bytes * count / (count + 1))
end

-- Returns why the measurement says nothing of the settings, or nil.
local function fault_of(run, job, measurement)
  local ended, totals, patience = run.meter.ended, run.engine:totals(), job.seconds * PATIENCE / 2
  if ended and ended.kind == "failed" then return failure(ended.text, -ended.status) end
  if totals.read == 0 then return failure("there are no messages to read", exit_code.NO_INPUT) end
  -- A run that has nothing left to do ends only when it has taken leave of the brokers, which may take longer than the
  -- trial: such a run does not hang.
  if measurement.messages == 0 and (ended or totals.in_flight == 0) then
    return failure(("%d messages are too few to measure: all were complete too soon; give more of them (--messages), "
      .. "or begin further back (--start)"):format(totals.read), exit_code.NO_INPUT)
  end
  if measurement.messages == 0 and measurement.seconds >= patience then
    return failure(("no message became complete within %.3g s: a function hangs, or messages take so long that "
      .. "--seconds must be larger"):format(measurement.seconds), exit_code.DATA)
  end
  local complete = totals.read - totals.in_flight
  if complete > 0 and totals.dead_lettered >= complete then
    local last = run.engine:dead_letters().last[1]
    return failure(("all %d messages became dead letters, the last one by %s: %s"):format(complete, last.stage,
      last.error), exit_code.DATA)
  end
end

local function result_of(run, job)
  local me = { posix.getpid() }
  local before = processes.memory(me)
  local look, failed = (job.backlog and feed or connect)(run, job)
  if failed then return failed end
  local copy = processes.memory(me) - before
  local measurement = measure(run, job, look)
  local fault = fault_of(run, job, measurement)
  if fault then return fault end
  without_backlog(measurement, job, copy, #run.meter.pids)
  if not job.backlog then leave(run) end
  return measurement
end

-- What the forked process does.
local function in_child(job)
  C.tide_log_setup("TIDE_LOG_ERROR", "TIDE_LOG_TEXT")
  for i, step in ipairs(job.steps) do settings.apply(step, job.settings[i]) end
  local planned = plan.new(job.pipeline, { until_end = not job.backlog, trial = { topic = job.topic,
    partitions = job.backlog and PARTITIONS or nil, group = job.group, start = job.start } })
  local fault = planned.tables.memory_fault
  if fault then return failure(fault, exit_code.CONFIG) end
  local engine, text, status = engines.new(planned)
  if not engine then return failure(text, -status) end
  local connection, reason = planned:connection() -- after the fork, so that no worker has the secrets
  if not connection then return failure(reason, exit_code.CONFIG) end
  if planned.tables.sink.medium == "TIDE_MEDIUM_MEMORY" then
    C.tide_memory_discard(C.tide_engine_sink(engine.handle))
  end
  local started
  started, text, status = engine:start(connection)
  if not started then return failure(text, -status) end
  local result = result_of({ engine = engine, plan = planned, meter = meter.new(engine, planned) }, job)
  engine:free()
  return result
end

--- Runs it. job: pipeline (checked), steps (those that are tuned), settings (of each of them), seconds, and either
--- backlog, or group, start (as plan/types.lua has it) and count (messages at most); topic (optional) for results.
--- Returns the measurement (tuning/meter.lua), or { failed = text, code = exit code }.
function trial.run(job)
  return child.run(function() return in_child(job) end)
end

--- Returns the numbers of a measurement as the search wants them, for step `number` of those that have workers.
function trial.of_step(measurement, number)
  local seen = { rate = measurement.rate, cpu = measurement.cpu, rejected = measurement.rejected }
  for name, value in pairs(measurement.steps[number] or {}) do seen[name] = value end
  return seen
end

return trial
