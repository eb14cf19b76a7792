-- SPDX-License-Identifier: MIT
-- cli/state/selection.lua: what the actions of `tidemill state` begin with: the store of a pipeline, and those of its
-- states that the command line names.
local exit_code = require("tidemill.plan.exit_code")
local nearest = require("tidemill.plan.nearest")
local pipeline_file = require("tidemill.plan.pipeline_file")
local state_line = require("tidemill.metrics.state_line")
local stderr = require("tidemill.cli.stderr")
local stores = require("tidemill.cli.state.stores")
local tide = require("tidemill.run.ffi")

-- The engine keeps newest times, and by what keys are made, at such keys (chain/timers.h, chain/states.h); no message
-- has one.
local TIME, BY = "\0watermark", "\0by"

local selection = {}
local Selection = {}
Selection.__index = Selection

--- Adds the flags.
function selection.define(command)
  command:option("--state"):argname("NAME"):description("Only this state; without it all of the pipeline.")
  command:option("--partition"):argname("N"):convert(function(text)
    local number = text:find("^%d+$") and tonumber(text)
    if not number or number >= 2 ^ 31 then return nil, ("--partition %s: must be a number, from 0"):format(text) end
    return number
  end):description("Only this partition; without it all. A file is one partition, 0.")
end

--- Prints the reason and returns nil and the exit code.
function selection.failed(reason, status)
  stderr.failure("%s", reason)
  return nil, -status
end

-- The names of all states that the pipeline file has.
local function names_of(pipeline)
  local names = {}
  for _, step in ipairs(pipeline.steps) do
    if step.spec.role == "keyed" then
      for _, name in ipairs(step.values.state) do names[#names + 1] = name end
    end
  end
  return names
end

--- The pipeline with its state_dir and the names of its states; or nil and the exit code, when the reason is printed.
function selection.pipeline(parsed)
  tide.C.tide_log_setup("TIDE_LOG_WARN", "TIDE_LOG_TEXT")
  local pipeline, texts, status = pipeline_file.load(parsed.file, parsed.set)
  if not pipeline then
    stderr.lines(texts)
    return nil, status
  end
  local names, dir = names_of(pipeline), pipeline.settings.values.state_dir
  if #names == 0 then return selection.failed(pipeline.file .. ": no step of it keeps state (tide.keyed)",
    -exit_code.CONFIG) end
  if not dir then return selection.failed(pipeline.file .. ": has no state_dir, so nothing of its state is kept",
    -exit_code.CONFIG) end
  return { pipeline = pipeline, name = pipeline.name, dir = dir, names = names,
    topic = pipeline.steps[1].spec.name == "kafka_source" and (pipeline.steps[1].values.topic
      or (pipeline.steps[1].values.topics or {})[1]) or nil }
end

-- The states that are chosen: those of the pipeline file that are in the store; nil, the reason and a status.
local function choose(self, wanted)
  local all, reason, status = self.store:states()
  if not all then return nil, reason, status end
  local chosen = {}
  for _, name in ipairs(self.of.names) do
    for _, state in ipairs(all) do
      if state.name == name and (not wanted or wanted == name) then chosen[#chosen + 1] = state end
    end
  end
  if wanted and #chosen == 0 then
    return nil, ('--state %s: the store has no state of that name%s; the pipeline has %s'):format(wanted,
      nearest.hint(wanted, self.of.names), table.concat(self.of.names, ", ")), -exit_code.USAGE
  end
  return chosen
end

--- Opens the store. Returns the selection, with `states` (of run/store.lua), `store` and `of` (the pipeline); or nil
--- and the exit code, when the reason is printed.
function selection.new(parsed)
  local of, code = selection.pipeline(parsed)
  if not of then return nil, code end
  local opened, reason, status = stores.look(of.dir, of.name, of.topic)
  if not opened then return selection.failed(reason, status) end
  local self = setmetatable({ of = of, store = opened, partition = parsed.partition,
    now_ms = tonumber(tide.C.tide_clock_wall_ms()) }, Selection)
  self.states, reason, status = choose(self, parsed.state)
  if self.states then return self end
  opened:free()
  return selection.failed(reason, status)
end

--- Goes through the values that are there: each(state, partition, key, value, lives), until it returns false. Returns
--- the exit code; the reason of a failure is printed.
function Selection:each(each)
  for _, state in ipairs(self.states) do
    local stopped
    local done, reason, status = self.store:each(state, self.partition, function(partition, key, value)
      if key:sub(1, #TIME) == TIME or key == BY then return true end
      stopped = each(state, partition, key, value, state_line.lives(value, self.now_ms)) == false
      return not stopped
    end)
    if not done then return select(2, selection.failed(reason, status)) end
    if stopped then break end
  end
  return exit_code.OK
end

--- Prints the chosen values as lines, at most `limit` of them.
function Selection:print(whole, limit)
  local count = 0
  local code = self:each(function(state, partition, key, value, lives)
    if not lives then return true end
    if limit and count == limit then return false end
    count = count + 1
    return io.stdout:write(state_line.of(state.name, partition, key, value, whole)) ~= nil -- a reader may have left
  end)
  self.store:free()
  return code
end

return selection
