-- SPDX-License-Identifier: MIT
-- run/transforms.lua: loads the user's code of a plan and makes of it what runs over the blocks of each step. The
-- zygote does this once, before it forks workers. Start reading at transforms.steps, at the end.
--
-- An entry of a step (plan.functions[number][i]):
--   a function, or { kind = "file", path = }                    it is called with a message
--   { kind = "filter" | "unfold", of = entry }, { kind = "unbatch" }    run/function_steps.lua
--   { kind = "keyed", of = entry, states = names, timed = }, before others    its second argument (run/state.lua)
--   { kind = "reduce", ... }, first of its step                 run/reduce.lua
local answer = require("tidemill.run.answer")
local batch = require("tidemill.run.batch")
local environment = require("tidemill.run.environment")
local fuse = require("tidemill.run.fuse")
local missing_libraries = require("tidemill.run.missing_libraries")
local reduce = require("tidemill.run.reduce")
local runner = require("tidemill.run.runner")
local shared_tables = require("tidemill.run.shared_tables")
local state = require("tidemill.run.state")
local error_text = require("tidemill.run.error_text")
local state_warnings = require("tidemill.run.state_warnings")
local function_steps = require("tidemill.run.function_steps")

local transforms = {}

-- The functions that a transform table may have; any other name is refused.
local HOOKS = { init = true, start = true, process = true, batch = true, close = true }

-- Ends the load with this text; `again` says that it may succeed later.
local function fail(text, again)
  error({ load = text, again = again }, 0)
end

-- Calls a part of a transform file. An error may be any value; of the traceback only the frames of the file are kept.
local function call(fn, path)
  return xpcall(fn, function(problem)
    if type(problem) ~= "string" then
      local ok, text = pcall(error_text, problem)
      problem = ("%s: %s"):format(path, problem ~= nil and ok and tostring(text) or "an error without text")
    end
    local text = debug.traceback(problem, 2)
    return text:match "^(.-)\n\t%[C%]: in function '[^'\n]*'\n\t[^\n]*run/transforms%.lua:" or text
  end)
end

local plan -- the plan that is being loaded
local common -- what its files write into shared tables (run/shared_tables.lua)
local announce -- takes the name of what begins now: "init: t.lua:5"
local warned -- warnings that were given, by text: a module that several files require is loaded for each of them

local function load_file(path)
  local chunk, problem = environment.load_file(path, plan.folder, plan.globals, plan.trust)
  if not chunk then fail(problem) end
  announce(path)
  common:look()
  local ok, result = call(chunk, path)
  if not ok then fail(result) end
  problem = common:problem_of(path)
  if problem then fail(problem) end
  return result
end

local function check_table(transform, path)
  for name, hook in pairs(transform) do
    if not HOOKS[name] then
      fail(('%s: a transform has no "%s"; it has init, start, process, batch, close'):format(path, tostring(name)))
    end
    if type(hook) ~= "function" then fail(('%s: "%s" is no function but a %s'):format(path, name, type(hook))) end
  end
  if not transform.process and not transform.batch then
    fail(path .. ': the transform table has no function "process" and no "batch"')
  end
  if transform.process and transform.batch then
    fail(path .. ': the transform table has "process" and "batch"; it may have one of them')
  end
  return transform
end

-- Warns of what a function that runs for each message seems to keep, if the plan wants warnings.
local function warn_of_state(fn)
  if not plan.warn then return end
  for _, text in ipairs(state_warnings.of(fn)) do
    if not warned[text] then plan.warn(text) end
    warned[text] = true
  end
end

-- Refuses a function of the pipeline file that names a module which cannot be used.
local function check_needs(fn)
  local info = debug.getinfo(fn, "S")
  local problem = missing_libraries.problem_in(info.source:gsub("^@", ""), info.linedefined, info.lastlinedefined)
  if problem then fail(problem) end
end

local load_entry

--- One entry as { process = or batch =, init =, start =, close =, where = "file:line" }.
function load_entry(entry)
  if type(entry) == "function" then
    check_needs(entry)
    warn_of_state(entry)
    return { process = entry, where = runner.describe(entry) }
  end
  if entry.kind ~= "file" then return function_steps.load(entry, load_entry, fail) end
  local result = load_file(entry.path)
  if type(result) == "function" then return load_entry(result) end
  if type(result) ~= "table" then
    fail(("%s: a transform returns a function or a table, this one returned a %s"):format(entry.path, type(result)))
  end
  local transform = {}
  for name, hook in pairs(check_table(result, entry.path)) do transform[name] = hook end
  transform.where = runner.describe(transform.process or transform.batch)
  warn_of_state(transform.process or transform.batch)
  return transform
end

-- Runs the hook "init: t.lua:5". On failure the text, and whether it may succeed later (tide.retry); else nil, false.
local function run_hook(hook, name, path)
  local ok, result = call(hook, path)
  if not ok then return name:match "^%a+: " .. result, false end
  local outcome, detail, text = answer.of(result)
  if outcome == answer.RETRY then return ("%s: %s"):format(name, text), true end
  if not outcome then return nil, false end
  return ("%s returned %s; a hook has no message: it returns nothing, raises an error, or returns tide.retry when what "
    .. "it needs is down"):format(name, tostring(result) .. (detail == "rejected" and ": " .. text or "")), false
end

local function init(transform)
  if not transform.init then return end
  local name = "init: " .. runner.describe(transform.init)
  announce(name)
  local problem, again = run_hook(transform.init, name, transform.where)
  if problem then fail(problem, again) end
end

-- The runner of a step: a fused loop where every function takes one message.
local function runner_of(first, functions)
  if first then return reduce.runner(first, functions) end
  if next(functions.batch) then return batch.runner(functions) end
  local run = runner.fused(fuse.loop(functions), functions.where)
  local states = functions.slots and #functions.slots
  return states and function(job)
    state.begin(job, states)
    return run(job)
  end or run
end

--- The entries of a step as { run = function(job), whole_batch, starts, closes, where }. run returns true when all
--- records are done and false when the block is full; `whole_batch` says that a function takes the whole batch; `where`
--- is the places of its functions, "t.lua:5, u.lua:9".
local function load_step(entries)
  local step, functions, places = { starts = {}, closes = {} }, { where = {}, batch = {} }, {}
  local first, keyed_step
  for _, entry in ipairs(entries) do
    local transform
    if type(entry) == "table" and entry.kind == "reduce" then
      first = reduce.load(entry, load_entry, fail)
      transform = first
      places[#places + 1] = first.where
    else
      local keyed = type(entry) == "table" and entry.kind == "keyed"
      transform = load_entry(keyed and entry.of or entry)
      keyed_step = keyed_step or keyed
      if keyed_step and transform.batch then
        fail(transform.where .. ": has `batch`; in tide.keyed and behind it a transform has `process`")
      end
      if keyed then
        functions.with_state, functions.slots = functions.with_state or {},
          functions.slots or state.new(entry.states, entry.timed)
        functions.with_state[#functions + 1] = true
      end
      local at = #functions + 1
      functions[at], functions.where[at] = transform.process or transform.batch, transform.where
      places[#places + 1] = transform.where
      functions.batch[at] = transform.batch and true or nil
    end
    init(transform)
    if transform.start then step.starts[#step.starts + 1] = { transform.start, runner.describe(transform.start) } end
    step.closes[#step.closes + 1] = transform.close
  end
  step.run, step.whole_batch = runner_of(first, functions), next(functions.batch) ~= nil
  step.where = table.concat(places, ", ")
  return step
end

--- Runs the `start` hooks, in a worker. The text of the one that fails, and whether it may succeed later (tide.retry);
--- nil, false when all succeed. `announcing` takes the name of each before it runs.
function transforms.start(steps, announcing)
  for _, step in pairs(steps) do
    for _, start in ipairs(step.starts) do
      local name = "start: " .. start[2]
      announcing(name)
      local problem, again = run_hook(start[1], name, start[2])
      if problem then return problem, again end
    end
  end
  return nil, false
end

--- All steps of a plan, by their number from 0. `announcing` takes the name of each file and hook before it runs.
function transforms.steps(of, announcing)
  plan, announce, common, warned = of, announcing, shared_tables.new(), {}
  local steps = {}
  for number, entries in pairs(plan.functions) do steps[number - 1] = load_step(entries) end
  return steps
end

return transforms
