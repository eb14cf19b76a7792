-- SPDX-License-Identifier: MIT
-- tuning/settings.lua: the settings of a run_task_with_multiprocessing step that `tidemill tune` changes: as they are
-- in a checked pipeline, how they are put into it, and how they are written in the pipeline file.
local cores = require("tidemill.plan.cores")
local search = require("tidemill.tuning.search")
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
local BEGIN = { max_batch_size = function() return 1000 end, max_batch_time = function() return 1e6 end,
  processes = cores.usable, prefetch_batches = function() return 1 end }

-- Returns the number to begin with for a value, which may be "auto" or a table with the largest one.
local function number_of(name, value)
  if type(value) == "number" then return value end
  local begin = BEGIN[name]()
  return type(value) == "table" and value.max and math.min(begin, value.max) or begin
end

--- Returns the settings to begin with for a step: those of the file; where these are automatic, a number. Blocks may be
--- "auto".
function settings.of(step)
  local values, result = step.values, {}
  for _, name in ipairs(search.names) do
    local value = values[name]
    if name == "processes" and values.pool then value = values.pool.values.processes end
    result[name] = BEGIN[name] and number_of(name, value) or value or "auto"
  end
  return result
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
