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
    seconds = totals.seconds,
    verdict = "none",
    metrics = metrics.collect(engine, plan),
  }
end

--- True, or nil and the reason.
function report.write(path, engine, plan)
  local file, reason = io.open(path, "w")
  if not file then return nil, reason end
  file:write(json.encode(report.of(engine, plan)), "\n")
  return file:close()
end

return report
