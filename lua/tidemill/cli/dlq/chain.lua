-- SPDX-License-Identifier: MIT
-- cli/dlq/chain.lua builds the pipelines that the dlq commands run on the engine: one reads a source into a file, one
-- sends dead letters back. Their function runs in one worker.
local ffi = require("ffi")
local engines = require("tidemill.run.engine")
local exit_code = require("tidemill.plan.exit_code")
local list = require("tidemill.steps.list")
local pipeline_file = require("tidemill.plan.pipeline_file")
local declaration = require("tidemill.plan.declaration")
local plan = require("tidemill.plan.plan")
local session = require("tidemill.plan.session")
local signals = require("tidemill.cli.signals")
local sources = require("tidemill.cli.dlq.source")
local tide = require("tidemill.run.ffi")
local posix = require("tidemill.run.posix")

local chain = {}

local AT = { file = "tidemill dlq" }
-- A dead letter may be as large as a pipeline's largest block, and goes through base64.
local WORKER_MEMORY = 4 * 2 ^ 30

-- Each run has a group of its own, since it reads everything and commits nothing.
local function group(source)
  return ("tidemill-dlq-%s.read-%d-%d"):format(source.name, os.time(), posix.getpid())
end

local function source_step(source)
  if source.kind == "file" then return declaration.new(list.file_source, { path = source.name }, AT) end
  return declaration.new(list.kafka_source, { brokers = "of the source", topic = source.name, group = group(source),
    start = "earliest" }, AT)
end

--- Builds: source -> fn in a worker -> sink (a declaration), which gets what fn returns. It reads to the ends that
--- there are now. Returns an engine that is not started yet, or nil, the reason and the exit code.
function chain.new(source, fn, sink)
  local task = declaration.new(list.run_task_with_multiprocessing, { fn, processes = 1, max_input_block_size = "256MiB",
    max_output_block_size = "512MiB" }, AT)
  local whole = declaration.new(list.pipeline, { source_step(source), task, sink }, AT)
  whole.name = "dlq"
  local pipeline, texts, status = pipeline_file.check(whole, AT.file, ".", session.new())
  if not pipeline then return nil, table.concat(texts, "\n"), status end
  pipeline.settings.values.broker_timeout = source.timeout_us
  pipeline.settings.values.worker_memory = WORKER_MEMORY
  local planned = plan.new(pipeline, { until_end = source.kind == "topic", handle_signals = true })
  planned.tables.commit.enabled, planned.c.commit.enabled = false, false
  local made, reason, failure = engines.new(planned)
  if not made then return nil, reason, -failure end
  return made
end

--- A sink that writes lines to a file.
function chain.lines(path)
  return declaration.new(list.file_sink, { path = path }, AT)
end

--- A sink that writes to topics of the source's other side.
function chain.topics(names)
  return declaration.new(list.produce, { topic = names[1], topics = names, brokers = "of the source" }, AT)
end

--- Starts the engine and runs it to its end. each(event) is called for every event, and may return a text and an exit
--- code, which end the run. Returns nil when everything is complete, or the reason and the exit code.
function chain.run(engine, source, each)
  local sides, unfetched, code_of_secret = sources.fetch(source)
  if not sides then return unfetched, code_of_secret end
  local started, reason, status = engine:start { source = sides.read or {}, sink = sides.write or {} }
  if not started then return reason, -status end
  while true do
    local event = engine:run(1)
    local text, code = each(event)
    if text then return text, code end
    if event.kind == "done" then return nil end
    if event.kind == "failed" then return event.text, -event.status end
  end
end

--- Returns { [partition] = the offset before which everything that was read is complete }.
function chain.positions(engine)
  local number, offset, found = ffi.new("int32_t[1]"), ffi.new("int64_t[1]"), {}
  local index = 0
  while tide.C.tide_engine_position(engine.handle, index, number, offset) do
    found[tonumber(number[0])] = tonumber(offset[0])
    index = index + 1
  end
  return found
end

--- True if the event is a signal that asks for the end.
function chain.ends(event)
  return event.kind == "signal" and signals.ends(event.number)
end

--- The text and the code with which a signal ends a run.
function chain.stopped(event)
  if chain.ends(event) then return "stopped by " .. signals.name(event.number), exit_code.TEMPORARY end
end

return chain
