-- SPDX-License-Identifier: MIT
-- cli/report.lua: what --report writes at the end.
local json = require("tidemill.cli.json")
local metrics = require("tidemill.steer.metrics")

local report = {}

--- The report as a table.
function report.of(engine, plan)
  local totals = engine:totals()
  return {
    read = totals.read,
    produced = totals.produced,
    produced_from = totals.produced_from,
    filtered = totals.filtered,
    dead_lettered = totals.dead_lettered,
    dropped = totals.dropped, -- in flight when their partition went to another engine
    seconds = totals.seconds,
    verdict = "none",
    metrics = metrics.collect(engine, plan),
  }
end

--- Before anything is read: whether the report can be written. True, or nil and the reason.
function report.check(path)
  local file, reason = io.open(path, "a")
  if file then file:close() end
  return file ~= nil, reason
end

--- True, or nil and the reason.
function report.write(path, engine, plan)
  local file, reason = io.open(path, "w")
  if not file then return nil, reason end
  local written
  written, reason = file:write(json.encode(report.of(engine, plan)), "\n")
  local closed, late = file:close() -- what was buffered may fail only now
  if written and closed then return true end
  return nil, path .. ": " .. (reason or late)
end

return report
