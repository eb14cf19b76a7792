-- SPDX-License-Identifier: MIT
-- tuning/settings.lua: the settings of a run_task_with_multiprocessing step that `tidemill tune` changes: as they are
-- in a checked pipeline, how they are put into it, and how they are written in the pipeline file.
local blocks = require("tidemill.steps.blocks")
local cores = require("tidemill.plan.cores")
local search = require("tidemill.tuning.search")
local sizes = require("tidemill.plan.sizes")
local units = require("tidemill.plan.units")

local settings = {}

local SHOWN = {
  input_block_size = units.show_size, output_block_size = units.show_size, max_batch_time = units.show_time,
}

--- Returns the steps of a checked pipeline that can be tuned, in order.
function settings.steps(pipeline)
  local steps = {}
  for _, step in ipairs(pipeline.steps) do
    if step.spec.role == "multiprocessing" then steps[#steps + 1] = step end
  end
  return steps
end

-- Where the search begins when a value is automatic.
local BEGIN = { max_batch_size = blocks.MAX_BATCH_SIZE, max_batch_time = blocks.MAX_BATCH_TIME_US,
  prefetch_batches = 1 }

-- Returns the number to begin with for a value, which may be "auto" or a table with the largest one.
local function number_of(name, value)
  if type(value) == "number" then return value end
  if name == "processes" then return sizes.processes(value).begin end
  return type(value) == "table" and value.max and math.min(BEGIN[name], value.max) or BEGIN[name]
end

local function processes_of(step)
  local pool = step.values.pool
  return (pool and pool.values or step.values).processes
end

--- Returns the settings to begin with for a step: those of the file; where these are automatic, a number. Blocks may be
--- "auto".
function settings.of(step)
  local values, result = step.values, {}
  for _, name in ipairs(search.names) do
    local value = name == "processes" and processes_of(step) or values[name]
    result[name] = (BEGIN[name] or name == "processes") and number_of(name, value) or value or "auto"
  end
  return result
end

--- Returns the most processes to try for a step: the maximum that the file gives, else four for each core, or those of
--- the file if these are more.
function settings.most_processes(step)
  local value = processes_of(step)
  if type(value) == "table" and value.max then return value.max end
  return math.min(sizes.MOST_PROCESSES, math.max(4 * cores.usable(), number_of("processes", value)))
end

--- Puts settings in place `i` of a list that has those of each step. Steps that share a pool have its processes in
--- common.
function settings.put(list, steps, i, wanted)
  list[i] = wanted
  local pool = steps[i].values.pool
  for other, step in ipairs(steps) do
    if pool and other ~= i and step.values.pool == pool then
      local changed = {}
      for name, value in pairs(list[other]) do changed[name] = value end
      changed.processes = wanted.processes
      list[other] = changed
    end
  end
end

--- Puts settings into a checked pipeline. A block of a given size has no maximum to grow to.
function settings.apply(step, wanted)
  local values = step.values
  for _, name in ipairs(search.names) do values[name] = wanted[name] end
  if values.pool then values.pool.values.processes = wanted.processes end
  for _, side in ipairs { "input", "output" } do
    local size, max = wanted[side .. "_block_size"], "max_" .. side .. "_block_size"
    if type(size) == "number" then values[max] = math.max(size, values[max]) end
  end
  blocks.note_given(values, step.given)
end

--- Returns a text that is the same for the same settings.
function settings.key(of)
  local parts = {}
  for i, name in ipairs(search.names) do parts[i] = settings.show(name, of[name]) end
  return table.concat(parts, " ")
end

--- Returns a value as a table shows it: 1MiB, 500ms.
function settings.show(name, value)
  if type(value) ~= "number" then return tostring(value) end
  return SHOWN[name] and SHOWN[name](value) or ("%.0f"):format(value)
end

-- As it is written in a pipeline file: "1MiB" with its quotes.
local function written(name, value)
  local text = settings.show(name, value)
  return tonumber(text) and text or '"' .. text .. '"'
end

--- Returns the lines to paste for a step: its place in the file, then one line for each option.
function settings.lines(step, wanted)
  local declared, shared = step.declaration, step.values.pool
  local lines = { ("-- %s:%d, tide.%s { ... }"):format(declared.file, declared.line, step.name) }
  for _, name in ipairs(search.names) do
    if name == "processes" and shared then
      lines[#lines + 1] = ("-- and in line %d, tide.pool { ... }: processes = %d"):format(shared.declaration.line,
        wanted.processes)
    else
      lines[#lines + 1] = ("%s = %s,"):format(name, written(name, wanted[name]))
    end
  end
  return lines
end

return settings
