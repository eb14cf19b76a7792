-- SPDX-License-Identifier: MIT
-- plan/print.lua: shows a checked pipeline as text, and as a graph for dot(1).
local engines = require("tidemill.plan.engines")
local group = require("tidemill.plan.group")
local plan_table = require("tidemill.plan.plan_table")
local types = require("tidemill.plan.types")
local units = require("tidemill.plan.units")

local print = {}

local function function_names(functions)
  local names = {}
  for i, item in ipairs(functions) do
    local line = type(item) == "function" and debug.getinfo(item, "S").linedefined
    names[i] = not line and item.path or line > 0 and "function in line " .. line or "built-in function"
  end
  return table.concat(names, ", then ")
end

-- Returns the text of the value in force, and whether the pipeline file gave it.
local function effective(option, checked)
  local value, given = checked.values[option.name], checked.given[option.name]
  if type(value) == "table" and value.spec then
    return ("%s in line %d"):format(value.name, value.declaration.line or 0), given
  end
  if value == nil then return option.default_text, given end
  return types.show(option, value), given
end

local function is_shown(option, checked)
  if option.name == "processes" and checked.given.pool then return false end
  local has_its_own_lines = option.name == "dlq" or option.name == "metrics" or option.name == "reload"
  if has_its_own_lines and checked.given[option.name] then return false end
  return checked.given[option.name] or checked.values[option.name] ~= nil or option.default_text
end

local function add_options(lines, checked, indent)
  for _, option in ipairs(checked.spec.options) do
    if is_shown(option, checked) then
      local text, given = effective(option, checked)
      if text then
        lines[#lines + 1] = ("%s%-22s %s%s"):format(indent, option.name, text, given and "" or "  (default)")
      end
    end
  end
end

-- Returns for each step with which others it shares a worker's loop, as "2. filter, 4. unfold"; "" means none.
local function loops_of(steps)
  local numbers, loops = {}, {}
  for i, step in ipairs(steps) do numbers[step] = i end
  for _, unit in ipairs(group.units(steps)) do
    for _, step in ipairs(unit.entries and unit.members or {}) do
      local others = {}
      for _, other in ipairs(unit.members) do
        if other ~= step then others[#others + 1] = ("%d. %s"):format(numbers[other], other.name) end
      end
      loops[step] = table.concat(others, ", ")
    end
  end
  return loops
end

local function add_step(lines, checked, title, loop)
  local line = checked.declaration and checked.declaration.line
  lines[#lines + 1] = title .. (line and "  line " .. line or "")
  if checked.values.functions then
    lines[#lines + 1] = ("    %-22s %s"):format("functions", function_names(checked.values.functions))
  end
  if loop then
    lines[#lines + 1] = ("    %-22s %s"):format("loop", loop == "" and "of its own" or "shared with " .. loop)
  end
  add_options(lines, checked, "    ")
end

-- Returns the pools that the steps name, each once.
local function pools_of(pipeline)
  local pools, seen = {}, {}
  for _, step in ipairs(pipeline.steps) do
    local pool = step.values.pool
    if pool and not seen[pool] then pools[#pools + 1] = pool end
    if pool then seen[pool] = true end
  end
  return pools
end

-- What memory_limit leaves for each step: the maxima of its processes and blocks, which the options do not show.
local function add_memory(lines, pipeline)
  local tables = plan_table.new(pipeline, engines.count(pipeline.settings.values.engines))
  if tables.memory_fault then
    lines[#lines + 1] = "  " .. tables.memory_fault
    return
  end
  for number, step in ipairs(tables.memory_limit and tables.steps or {}) do
    if tables.automatic[number] then
      lines[#lines + 1] = ("  memory_limit leaves for %s"):format(step.stage)
      lines[#lines + 1] = ("    %-22s %d at most"):format("processes", tables.pools[step.pool + 1])
      for _, name in ipairs { "max_input_block_size", "max_output_block_size" } do
        lines[#lines + 1] = ("    %-22s %s"):format(name, units.show_size(step[name]))
      end
    end
  end
end

--- Returns the plan as people read it; secrets appear as [redacted].
function print.text(pipeline)
  local lines = { ('pipeline "%s"  %s'):format(pipeline.name, pipeline.file) }
  add_options(lines, pipeline.settings, "    ")
  local loops = loops_of(pipeline.steps)
  for i, step in ipairs(pipeline.steps) do
    add_step(lines, step, ("  %d. %s"):format(i, step.name), loops[step])
  end
  for _, pool in ipairs(pools_of(pipeline)) do add_step(lines, pool, "  pool") end
  if pipeline.dlq then add_step(lines, pipeline.dlq, "  dlq") end
  if pipeline.metrics then add_step(lines, pipeline.metrics, "  metrics") end
  if pipeline.settings.given.reload then add_step(lines, pipeline.reload, "  reload") end
  add_memory(lines, pipeline)
  return table.concat(lines, "\n") .. "\n"
end

local function quoted(text)
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

local function label(step)
  local values = step.values
  local details = values.topics and table.concat(values.topics, ", ")
  if values.topic then details = values.topic end
  details = values.functions and function_names(values.functions) or details or values.pattern or values.path
  if type(values.policy) == "string" then details = values.policy end
  return details and step.name .. "\\n" .. details:gsub("\\", "\\\\") or step.name
end

local function escape_label(text)
  return '"' .. text:gsub('"', '\\"') .. '"'
end

--- Returns the plan as a graph in the language of dot(1).
function print.dot(pipeline)
  local lines = { "digraph " .. quoted(pipeline.name) .. " {", "  rankdir=LR; node [shape=box];" }
  for i, step in ipairs(pipeline.steps) do
    lines[#lines + 1] = ("  s%d [label=%s];"):format(i, escape_label(label(step)))
    if i > 1 then lines[#lines + 1] = ("  s%d -> s%d;"):format(i - 1, i) end
  end
  if pipeline.dlq then
    lines[#lines + 1] = ("  dlq [label=%s];"):format(escape_label(label(pipeline.dlq)))
    for i, step in ipairs(pipeline.steps) do
      if step.spec.kind == "task" then lines[#lines + 1] = ("  s%d -> dlq [style=dashed];"):format(i) end
    end
  end
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n") .. "\n"
end

return print
