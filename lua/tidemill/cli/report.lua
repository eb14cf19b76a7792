-- SPDX-License-Identifier: MIT
-- cli/report.lua: makes what --report writes at the end.
local json = require("tidemill.cli.json")
local metrics = require("tidemill.metrics")
local snapshot = require("tidemill.metrics.snapshot")
local tide = require("tidemill.run.ffi")

local report = {}

--- Returns the report as a table. verdict: what bound the whole run (tuning/advisor.lua).
function report.of(engine, plan, verdict)
  local totals = engine:totals()
  return {
    read = totals.read,
    produced = totals.produced,
    produced_from = totals.produced_from,
    filtered = totals.filtered,
    dead_lettered = totals.dead_lettered,
    dropped = totals.dropped, -- in flight when their partition went to another engine
    seconds = totals.seconds,
    verdict = verdict,
    slow_messages = snapshot.slow_messages(engine, plan), -- of the last minute
    metrics = metrics.collect(engine, plan),
  }
end

-- Returns the reason why it cannot be written, and the exit code.
local function failure(path, number)
  local status = tide.C.tide_output_failed(path, number)
  return tide.error(), -status
end

--- Called before anything is read. Returns nil when the report can be written (or none is wanted), else the reason and
--- the exit code.
function report.check(path)
  if not path then return nil end
  local file, _, number = io.open(path, "a")
  if not file then return failure(path, number) end
  file:close()
end

--- Returns nil, or the reason and the exit code.
function report.write(path, engine, plan, verdict)
  local file, _, number = io.open(path, "w")
  if not file then return failure(path, number) end
  local written, closed, late
  written, _, number = file:write(json.encode(report.of(engine, plan, verdict),
    { slow_messages = true, procedure = true }), "\n")
  closed, _, late = file:close() -- what was buffered may fail only now
  if not (written and closed) then return failure(path, number or late) end
end

return report
