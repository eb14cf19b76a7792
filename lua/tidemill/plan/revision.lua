-- SPDX-License-Identifier: MIT
-- plan/revision.lua: what may change in a pipeline while it runs, and what may not. A reload loads the functions of all
-- steps anew: what stands in the pipeline file, in transform files, and in the modules of both. All else is in the
-- engine, in its connections and in blocks that workers have mapped, so it needs a restart. Start reading at
-- revision.of.
local files = require("tidemill.plan.files")
local plan_module = require("tidemill.plan.plan")
local declaration = require("tidemill.plan.declaration")
local types = require("tidemill.plan.types")

local revision = {}

-- Options that are functions, or what these begin with: they go with the transforms.
local OF_TRANSFORMS = { functions = true, ["function"] = true, initial = true }

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" or getmetatable(a) or getmetatable(b) then
    return a == b or type(a) == "function" and type(b) == "function"
  end
  for name, value in pairs(a) do
    if not same(value, b[name]) then return false end
  end
  for name in pairs(b) do
    if a[name] == nil then return false end
  end
  return true
end

local function show(option, value)
  if value == nil then return "none" end
  return types.show(option, value)
end

-- Adds a line for each option that differs. now, before: steps or settings as plan/schema.lua has checked them.
local function compare_options(texts, now, before, name)
  for _, option in ipairs(now.spec.options) do
    local value, was = now.values[option.name], before.values[option.name]
    local setting = declaration.is(value) or declaration.is(was) or option.type == "setting"
    if not OF_TRANSFORMS[option.type] and not setting and not same(value, was) then
      local where = now.declaration
      texts[#texts + 1] = ('%s:%d: %s: option "%s" = %s, and the run has %s'):format(where.file, where.line or 0, name,
        option.name, show(option, value), show(option, was))
    end
  end
end

-- A setting that one of the two may not have: dlq, metrics.
local function compare_setting(texts, now, before, name, pipeline)
  if now and before then return compare_options(texts, now, before, name) end
  if not now and not before then return end
  local where = (now or pipeline).declaration
  texts[#texts + 1] = ("%s:%d: %s: %s"):format(where.file, where.line or 0, name,
    now and "is new" or "is gone, and the run has it")
end

-- The names of steps or tables, in order.
local function names_of(list)
  local names = {}
  for i, one in ipairs(list) do names[i] = one.values.name or one.name end
  return #names > 0 and table.concat(names, ", ") or "none"
end

-- Which steps share a pool: for each step the number of the first one with the same pool.
local function sharing_of(pipeline)
  local first, texts = {}, {}
  for i, step in ipairs(pipeline.steps) do
    local pool = step.values.pool
    if pool then first[pool] = first[pool] or i end
    texts[i] = pool and first[pool] or 0
  end
  return table.concat(texts, " ")
end

-- Tables (tide.table) are filled by the engine, in memory that it has mapped before all workers.
local function compare_tables(texts, now, before)
  for i, one in ipairs(now.tables) do
    compare_options(texts, one, before.tables[i], ('table "%s"'):format(one.values.name))
  end
end

local function compare_steps(texts, now, before)
  for i, step in ipairs(now.steps) do
    local was = before.steps[i]
    compare_options(texts, step, was, step.name)
    compare_setting(texts, step.values.pool, was.values.pool, step.name .. ": pool", step)
  end
end

--- Returns why a pipeline cannot take the place of one that runs, both as plan/pipeline_file.lua has checked them: a
--- line for each difference; nil when it can.
function revision.misfit(now, before)
  local texts = {}
  local where = now.declaration
  local function fault(text, ...)
    texts[#texts + 1] = ("%s:%d: "):format(where.file, where.line or 0) .. text:format(...)
  end
  if now.name ~= before.name then fault('the name is "%s", and "%s" runs', now.name, before.name) end
  compare_options(texts, now.settings, before.settings, "pipeline")
  compare_setting(texts, now.dlq, before.dlq, "dlq", now)
  compare_setting(texts, now.metrics, before.metrics, "metrics", now)
  compare_options(texts, now.reload, before.reload, "reload")
  if names_of(now.tables) ~= names_of(before.tables) then
    fault("the tables are %s, and the run has %s", names_of(now.tables), names_of(before.tables))
  else
    compare_tables(texts, now, before)
  end
  if names_of(now.steps) ~= names_of(before.steps) then
    fault("the steps are %s, and the run has %s", names_of(now.steps), names_of(before.steps))
  elseif sharing_of(now) ~= sharing_of(before) then
    fault("other steps share a pool than in the run")
  else
    compare_steps(texts, now, before)
  end
  if #texts == 0 then return nil end
  texts[#texts + 1] = "only the transforms can be loaded anew; what stands above needs a restart"
  return table.concat(texts, "\n")
end

--- Returns what a plan that was loaded from `path` with `options` (plan.load) needs for reloads: a function that loads
--- it anew (run/revision.lua has what it returns), and the mark of its files.
function revision.of(plan, path, options)
  local function revise()
    local before = files.stamp(path)
    local revised, texts = plan_module.load(path, options)
    if not revised then return nil, table.concat(texts, "\n") end
    return revised, files.mark(revised, before), revision.misfit(revised.pipeline, plan.pipeline)
  end
  return revise
end

return revision
