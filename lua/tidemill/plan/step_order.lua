-- SPDX-License-Identifier: MIT
-- plan/step_order.lua: checks the order of the steps of a pipeline: one source, tasks, one sink, commit_offsets.
local declaration = require("tidemill.plan.declaration")
local session = require("tidemill.plan.session")
local types = require("tidemill.plan.types")

local step_order = {}

local STEP = { source = true, task = true, sink = true, commit = true }

-- Returns nil, or why the step cannot stand here. `first` has the first step of each kind so far.
local function misplaced(use, first)
  local kind = use.spec.kind
  local same = first[kind]
  if same and kind ~= "task" then
    return ("a second %s, after %s in line %d; a pipeline has one"):format(
      kind == "commit" and "commit_offsets" or kind, same.spec.name, same.line or 0)
  elseif kind == "source" and next(first) then
    return "a source comes first"
  elseif first.sink and kind ~= "commit" then
    return ("stands after %s; only commit_offsets may follow it"):format(first.sink.spec.name)
  elseif first.commit then
    return "stands after commit_offsets, which comes last"
  end
end

-- Returns the steps as declarations, in order; what is no step is a fault.
local function steps_of(pipeline, current)
  local steps = {}
  for key, value in pairs(pipeline.arguments) do
    if type(key) ~= "string" and (type(key) ~= "number" or key < 1 or key % 1 ~= 0) then
      current:fault(pipeline, "value [%s] = %s: steps stand in a list, from 1 on", tostring(key), types.quote(value))
    end
  end
  for i = 1, table.maxn(pipeline.arguments) do
    local use = pipeline.arguments[i]
    if declaration.is(use) and STEP[use.spec.kind] then
      steps[#steps + 1] = use
    elseif declaration.is(use) and use.spec.kind == "setting" then
      local where = use.spec.name == "pool" and "pool = tide.pool { ... } in run_task_with_multiprocessing"
        or ("%s = tide.%s { ... }"):format(use.spec.name, use.spec.name)
      current:fault(use, "tide.%s: is no step; write %s", use.spec.name, where)
    elseif declaration.is(use) then
      current:fault(use, "tide.%s: cannot stand inside of a pipeline", use.spec.name)
    elseif not session.is_absent(use) then
      current:fault(pipeline, "step %d = %s: must be a step, as tide.produce { ... }", i, types.quote(use))
    end
  end
  return steps
end

-- True when a part of the pipeline could not be evaluated; then nothing can be called missing.
local function has_absent(pipeline)
  for _, use in pairs(pipeline.arguments) do
    if session.is_absent(use) then return true end
  end
  return false
end

--- Returns the steps in order; faults go to the session.
function step_order.check(pipeline, current)
  local steps = steps_of(pipeline, current)
  local first = {}
  for _, use in ipairs(steps) do
    local reason = misplaced(use, first)
    if reason then current:fault(use, "%s: %s", tostring(use), reason) end
    first[use.spec.kind] = first[use.spec.kind] or use
  end
  if (not steps[1] or steps[1].spec.kind ~= "source") and not has_absent(pipeline) then
    current:fault(steps[1] or pipeline, "the first step must be a source: kafka_source or file_source")
  end
  return steps
end

return step_order
