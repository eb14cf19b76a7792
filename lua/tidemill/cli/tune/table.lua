-- SPDX-License-Identifier: MIT
-- cli/tune/table.lua: what `tidemill tune` prints to standard output: a row for each trial, and at the end the lines to
-- paste; or the same as JSON, one object a line.
local json = require("tidemill.cli.json")
local search = require("tidemill.tuning.search")
local settings = require("tidemill.tuning.settings")
local units = require("tidemill.plan.units")

local table_of = {}
local Table = {}
Table.__index = Table

local function milliseconds(seconds)
  return ("%.1f"):format(seconds * 1e3)
end

-- { heading, width, function(row) }; `row` is { run, step, settings, measurement }
local COLUMNS = {
  { "run", 3, function(row) return ("%d"):format(row.run) end },
  { "step", 4, function(row) return ("%d"):format(row.step) end },
}
local HEADING = { input_block_size = { "input block", 11 }, max_batch_size = { "batch", 6 },
  max_batch_time = { "batch time", 10 }, output_block_size = { "output block", 12 },
  processes = { "processes", 9 }, prefetch_batches = { "prefetch", 8 } }
for _, name in ipairs(search.names) do
  COLUMNS[#COLUMNS + 1] = { HEADING[name][1], HEADING[name][2],
    function(row) return settings.show(name, row.settings[name]) end }
end
for _, column in ipairs {
  { "messages/s", 11, function(row) return units.show_count(row.measurement.rate) end },
  { "CPU us/msg", 10, function(row) return ("%.2f"):format(row.measurement.cpu * 1e6) end },
  { "memory", 9, function(row) return ("%.0f MiB"):format(row.measurement.memory / 2 ^ 20) end },
  { "p50 ms", 8, function(row) return milliseconds(row.measurement.p50) end },
  { "p99 ms", 8, function(row) return milliseconds(row.measurement.p99) end },
} do
  COLUMNS[#COLUMNS + 1] = column
end

local function line_of(texts)
  local parts = {}
  for i, column in ipairs(COLUMNS) do parts[i] = (" "):rep(column[2] - #texts[i]) .. texts[i] end
  parts[#parts + 1] = texts.last
  return table.concat(parts, "  ") .. "\n"
end

--- `as_json`: for machines.
function table_of.new(as_json)
  return setmetatable({ as_json = as_json, begun = false }, Table)
end

--- Writes a row: run, step (its number), stage (of the search), settings, measurement.
function Table:row(row)
  if self.as_json then
    local object = { run = row.run, step = row.step, stage = row.stage, settings = row.settings }
    for name, value in pairs(row.measurement) do
      if name ~= "steps" then object[name] = value end
    end
    io.stdout:write(json.line(object), "\n")
  else
    local heading, texts = { last = "limit" }, { last = row.measurement.limit }
    for i, column in ipairs(COLUMNS) do heading[i], texts[i] = column[1], column[3](row) end
    if not self.begun then io.stdout:write(line_of(heading)) end
    io.stdout:write(line_of(texts))
  end
  self.begun = true
  io.stdout:flush()
end

local function gain(found)
  if not found.changed then return "no settings were faster than those of the file" end
  local times = found.before > 0 and (" (%.2f times as many)"):format(found.after / found.before) or ""
  return ("%s messages/s before, %s after%s"):format(units.show_count(found.before), units.show_count(found.after),
    times)
end

--- Writes what was found. list: of each step tuned { step (checked), number, settings, changed, before, after (messages
--- a second), measurement (the last one with these settings) }.
function Table:finish(list)
  if self.as_json then
    local steps = {}
    for i, found in ipairs(list) do
      local seen = found.measurement
      steps[i] = { step = found.number, line = found.step.declaration.line, settings = found.settings,
        changed = found.changed, before = found.before, after = found.after, runs = found.runs, limit = seen.limit,
        text = seen.text, advice = seen.advice }
    end
    io.stdout:write(json.line({ steps = steps }, { steps = true }), "\n")
    return
  end
  for _, found in ipairs(list) do
    io.stdout:write("\n-- step ", found.number, ": ", gain(found), "\n")
    io.stdout:write("-- what limits it now: ", found.measurement.text, "\n")
    if found.measurement.advice then io.stdout:write("-- ", found.measurement.advice, "\n") end
    io.stdout:write(table.concat(settings.lines(found.step, found.settings), "\n"), "\n")
  end
end

return table_of
