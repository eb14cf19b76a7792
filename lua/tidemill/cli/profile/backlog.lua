-- SPDX-License-Identifier: MIT
-- cli/profile/backlog.lua: runs a pipeline file on a backlog in memory, again and again, and throws its results away,
-- while a worker of it is profiled. Nothing is read from Kafka, and nothing is sent.
local engines = require("tidemill.run.engine")
local exit_code = require("tidemill.plan.exit_code")
local messages_of_file = require("tidemill.tuning.backlog")
local plan = require("tidemill.plan.plan")
local table_rows = require("tidemill.plan.table_rows")
local profile_request = require("tidemill.metrics.profile_request")
local profiling = require("tidemill.metrics.profiling")
local signals = require("tidemill.cli.signals")
local tide = require("tidemill.run.ffi")
local C = tide.C

local backlog = {}

local PARTITIONS, TURN = 4, 0.05
local MOST_MESSAGES = 200000
local ENDLESS = 1e15 -- messages

--- Reads the messages of a file. Returns them; or nil, the reason and the exit code.
function backlog.read(path, format)
  return messages_of_file.load(path, format, MOST_MESSAGES)
end

-- The plan on memory, without limits of dead letters; or nil, texts, code.
local function load(path, set)
  local planned, texts, code = plan.load(path, { set = set, memory = PARTITIONS, dead_letters = "/dev/null",
    handle_signals = true })
  if not planned then return nil, texts, code end
  local refused = table_rows.refusal(planned)
  if refused then return nil, { refused }, exit_code.CONFIG end
  planned.tables.dlq.max_invalid_ratio, planned.tables.dlq.max_consecutive_count = -1, -1
  planned.c.dlq.max_invalid_ratio, planned.c.dlq.max_consecutive_count = -1, -1
  return planned
end

local function now()
  return tonumber(C.tide_clock_us()) / 1e6
end

-- Turns the engine until the profile is there: the text, or nil, the reason and the exit code.
local function take(engine, pool, index, seconds)
  local profile
  while true do
    local event = engine:run(TURN)
    if event.kind == "failed" then return nil, event.text, -event.status end
    if event.kind == "done" then return nil, "the pipeline ended before its profile", exit_code.INTERNAL end
    if event.kind == "signal" and signals.ends(event.number) then
      return nil, "stopped by a signal", exit_code.TEMPORARY
    end
    if not profile and engine:worker_pid(pool, index) then
      profile = profiling.new(engine, pool, index, seconds, now)
    end
    local text, reason
    if profile then text, reason = profile:turn() end
    if text == false then return nil, reason, exit_code.TEMPORARY end
    if text then return text end
  end
end

--- Profiles a worker of the pipeline file at `path` on `messages`. options: set, step, worker, seconds. Returns the
--- text of the profile (run/profile.lua) and the number of the step in the plan; or nil, an array of texts and the
--- exit code.
function backlog.profile(path, messages, options)
  local planned, texts, code = load(path, options.set)
  if not planned then return nil, texts, code end
  local pool, index, row = profile_request.find(planned, options.step, options.worker)
  if not pool then return nil, { index }, exit_code.USAGE end
  local engine, reason, status = engines.new(planned)
  if not engine then return nil, { reason }, -status end
  local source = C.tide_engine_source(engine.handle)
  messages:push(source, PARTITIONS, 1, messages.count)
  C.tide_memory_repeat(source, ENDLESS)
  C.tide_memory_discard(C.tide_engine_sink(engine.handle))
  local started, text
  started, reason, status = engine:start {}
  if started then
    text, reason, status = take(engine, pool, index, options.seconds)
  else
    status = -status
  end
  engine:free()
  if not text then return nil, { reason }, status end
  return text, row
end

return backlog
