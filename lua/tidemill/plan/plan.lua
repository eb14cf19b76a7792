-- SPDX-License-Identifier: MIT
-- plan/plan.lua: makes of a pipeline file the plan that the engine takes.
--
-- A plan is a table: c (struct tide_plan, valid as long as the plan), functions (by the number of a task step, from
-- 1: a list of functions and { kind = "file", path = }), topics (that a result may name), name, file, folder, globals
-- (of the pipeline file), lookups (the tables that it declares: run/lookups.lua), pipeline (as plan/pipeline_file.lua
-- checked it), steps (all of the file, also those that an option leaves out), instead (the topic that stands for all
-- of topics, or nil), trust (the level), withheld (the environment variables that functions do not see), tables (as
-- plan/plan_table.lua makes it).
local connection = require("tidemill.plan.connection")
local engines = require("tidemill.plan.engines")
local plan_table = require("tidemill.plan.plan_table")
local exit_code = require("tidemill.plan.exit_code")
local files = require("tidemill.plan.files")
local keyed = require("tidemill.plan.keyed")
local list = require("tidemill.steps.list")
local pipeline_file = require("tidemill.plan.pipeline_file")
local plan_struct = require("tidemill.plan.plan_struct")
local record_line = require("tidemill.lib.record_line")
local sandbox = require("tidemill.plan.sandbox")
local table_rows = require("tidemill.plan.table_rows")

local plan = {}
local Plan = {}
Plan.__index = Plan

local function replace(result, options)
  local on_files = options.input or options.output
  if options.memory then plan_table.replace_by_memory(result, options.memory) end
  if options.input then plan_table.replace_input(result, options.input) end
  if options.output or on_files and result.sink.medium ~= "TIDE_MEDIUM_NONE" then
    plan_table.replace_output(result, options.output or "-", options.output_format)
  end
  if options.dead_letters then
    plan_table.replace_dead_letters(result, options.dead_letters)
  elseif on_files and result.dlq.kind == "TIDE_DLQ_TOPIC" then
    plan_table.replace_dead_letters(result, "-")
  end
  if options.mock then
    plan_table.replace_start(result)
    plan_table.replace_clusters(result)
    keyed.forget(result)
  end
  if options.trial then plan_table.replace_for_trial(result, options.trial) end
  if options.record then plan_table.replace_by_recorder(result, options.record, options.latest) end
  if result.source.medium ~= "TIDE_MEDIUM_KAFKA" or options.mock then
    table_rows.replace(result, options.tables, options.memory)
  end
end

-- Puts a function of ours behind the source, as the first step; it shares the loop of the step beside it.
local function put_first(pipeline, name, fn)
  table.insert(pipeline.steps, 2, { name = name, spec = list[name], given = {}, values = { functions = { fn } },
    declaration = pipeline.steps[1].declaration })
end

-- What makes messages of the lines that the source reads; nil = it reads messages.
local function reader(source, options)
  if options.input or options.memory or source.name ~= "file_source" then return nil end
  return source.values.format == "json" and record_line.read or nil
end

--- Makes a plan of a checked pipeline. options, all optional: input, output, dead_letters (paths), read (a function
--- that makes of each message of the source the one meant), output_format ("lines", "json"), memory (partitions),
--- record (a path: the source alone goes there), keep (with record: a function of a message, whether to take it),
--- latest, tables (rows in place of topics, as plan/table_rows.lua takes them), mock, until_end, handle_signals
--- (booleans), trial (as plan_table.replace_for_trial), engines (what the
--- command line says of them, or true: what the file says). Without `engines` one engine runs it, whatever the file
--- says.
function plan.new(pipeline, options)
  options = options or {}
  local steps = pipeline.steps
  if options.record then pipeline.steps = { pipeline.steps[1] } end
  if options.keep then put_first(pipeline, "filter", options.keep) end
  local read = options.read or reader(pipeline.steps[1], options)
  if read then put_first(pipeline, "run_task", read) end
  local given = options.engines == true and pipeline.settings.values.engines or options.engines
  local result = plan_table.new(pipeline, engines.count(given or 1))
  local topics = result.sink.topics or {}
  local trust = result.sandbox.trust
  result.sandbox = sandbox.complete(pipeline, result.sandbox)
  replace(result, options)
  keyed.plan(result)
  local c, anchor = plan_struct.new(result, options)
  return setmetatable({
    name = pipeline.name, file = pipeline.file, folder = pipeline.folder, globals = pipeline.globals,
    pipeline = pipeline, steps = steps, lookups = pipeline.lookups,
    tables = result, functions = result.functions, topics = topics,
    instead = options.trial and options.trial.topic, c = c, anchor = anchor,
    topic_tables = result.topic_tables, give_rows = table_rows.giver(result, options.tables),
    trust = trust, withheld = sandbox.withheld(result.sandbox),
  }, Plan)
end

--- Reads, checks and plans a pipeline file. Returns a plan, or nil, the texts of all faults and the exit code.
--- options: as plan.new and files.faults, set (the values of --set by name), trust (in place of the pipeline's).
function plan.load(path, options)
  local pipeline, texts, status = pipeline_file.load(path, options and options.set, options and options.trust)
  if not pipeline then return nil, texts, status end
  local planned = plan.new(pipeline, options)
  local faults = files.faults(planned, options or {})
  for _, text in ipairs(sandbox.faults(pipeline)) do faults[#faults + 1] = text end
  for _, text in ipairs(keyed.faults(pipeline, planned.tables)) do faults[#faults + 1] = text end
  local memory_fault = planned.tables.memory_fault
  if memory_fault then
    faults[#faults + 1] = ("%s:%d: pipeline: %s"):format(pipeline.file, pipeline.declaration.line or 0, memory_fault)
  end
  if #faults > 0 then return nil, faults, exit_code.CONFIG end
  return planned
end

--- Returns { source = { {name, value} ... }, sink = ... } with secrets resolved, or nil and the reason.
function Plan:connection(brokers)
  local sides, reason = connection.resolve(self.tables, brokers)
  if not sides then return nil, self.file .. ": " .. reason end
  return sides
end

--- Returns the topics that must exist: those of the source (without patterns, unless asked for), of the sink, dlq
--- included, and of tables.
function Plan:kafka_topics(patterns)
  local source, sink = {}, {}
  if self.tables.source.medium == "TIDE_MEDIUM_KAFKA" then
    for _, topic in ipairs(self.tables.source.topics) do
      if patterns or topic:sub(1, 1) ~= "^" then source[#source + 1] = topic end
    end
  end
  if self.tables.sink.medium == "TIDE_MEDIUM_KAFKA" then
    for _, topic in ipairs(self.tables.sink.topics) do sink[#sink + 1] = topic end
  end
  if self.tables.dlq.kind == "TIDE_DLQ_TOPIC" then sink[#sink + 1] = self.tables.dlq.target end
  local tables = {}
  for _, item in ipairs(self.topic_tables) do tables[#tables + 1] = item.topic end
  return { source = source, sink = sink, tables = tables }
end

return plan
