-- SPDX-License-Identifier: MIT
-- plan/group.lua: decides which steps run together in one loop of a worker. Functions without state (role "function")
-- go with a neighbour: the run_task_with_multiprocessing before them, else the one behind them, else the step with
-- state (role "state", or "keyed") before them. Without such a neighbour those that stand together get one worker. None
-- goes with a keyed step behind it, since the engine has to know the key of a message before any worker sees it.
local blocks = require("tidemill.steps.blocks")

local group = {}

local ALONE = { eager = true }

local function append(list, more)
  for _, item in ipairs(more) do list[#list + 1] = item end
end

local function prepend(list, more)
  local all = {}
  append(all, more)
  append(all, list)
  return all
end

local function role_of(unit)
  return unit and unit.step and unit.step.spec.role
end

-- Returns units in order: { step = with role or none, entries } or { step = any other }; functions still stand on their
-- own. `name` is what a dead letter names as its stage; `members` are the steps of the pipeline that it stands for.
local function units_of(steps)
  local units = {}
  for _, step in ipairs(steps) do
    local role, last = step.spec.role, units[#units]
    if role == "function" and last and not last.step then
      append(last.entries, step.spec.entries(step.values))
      last.name = last.name .. ", " .. step.spec.name
      append(last.members, { step })
    else
      units[#units + 1] = { step = role ~= "function" and step or nil, name = step.spec.name, members = { step },
        entries = role and prepend({}, step.spec.entries(step.values)) }
    end
  end
  return units
end

--- Returns the units of a pipeline's steps: { step =, entries =, members = }; step is nil for functions in a worker of
--- their own, entries nil for a step without functions.
function group.units(steps)
  local units = units_of(steps)
  local at = 1
  while at <= #units do
    local unit, before, behind = units[at], units[at - 1], units[at + 1]
    if unit.step then
      at = at + 1
    elseif role_of(before) == "multiprocessing" or (role_of(before) == "state" or role_of(before) == "keyed")
      and role_of(behind) ~= "multiprocessing" then
      append(before.entries, unit.entries)
      append(before.members, unit.members)
      table.remove(units, at)
    elseif role_of(behind) == "multiprocessing" then
      behind.entries = prepend(behind.entries, unit.entries)
      behind.members = prepend(behind.members, unit.members)
      table.remove(units, at)
    else
      at = at + 1
    end
  end
  return units
end

--- Puts all steps into the plan table.
function group.plan(steps, tables)
  for _, unit in ipairs(group.units(steps)) do
    if unit.step then
      unit.step.spec.plan(unit.step.values, tables, unit.entries)
    else
      blocks.add(tables, "TIDE_STEP_TASK", ALONE, unit.entries)
    end
    if unit.entries then
      tables.steps[#tables.steps].stage = unit.name
      tables.members[#tables.steps] = unit.members
    end
  end
end

return group
