-- SPDX-License-Identifier: MIT
-- cli/report.lua: makes what --report writes at the end.
local json = require("tidemill.cli.json")
local list = require("tidemill.metrics.list")
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

local TOTALS = { "read", "produced", "produced_from", "filtered", "dead_lettered", "dropped", "seconds" }
-- The field of a partition in a snapshot, by that of engine:lags().
local PARTITION_FIELD = { messages = "lag", seconds = "lag_seconds" }

local function add_partitions(values, partitions)
  for _, metric in ipairs(list) do
    for _, one in ipairs(metric.partition and partitions or {}) do
      local labels = { { "topic", one.topic }, { "partition", one.partition } }
      values[list.full_name(metric, labels)] = one[PARTITION_FIELD[metric.partition]]
    end
  end
  return values
end

--- Returns the report on several engines as a table: that of the whole, and `engines` = an array with the totals, the
--- verdict and the losses of each. whole: their snapshot (cli/engines/merge.lua).
function report.of_engines(whole)
  local made = { verdict = whole.verdict, slow_messages = whole.slow_messages, engines = {},
    metrics = add_partitions(whole.metrics, whole.partitions) }
  for _, name in ipairs(TOTALS) do made[name] = whole.totals[name] end
  for i, one in ipairs(whole.engines) do
    made.engines[i] = { engine = one.number, lives = one.life, losses = one.losses, verdict = one.verdict }
    for _, name in ipairs(TOTALS) do made.engines[i][name] = one.totals and one.totals[name] or 0 end
  end
  return made
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

--- Writes what of or of_engines has made. Returns nil, or the reason and the exit code.
function report.save(path, made)
  local file, _, number = io.open(path, "w")
  if not file then return failure(path, number) end
  local written, closed, late
  written, _, number = file:write(json.encode(made, { slow_messages = true, procedure = true }), "\n")
  closed, _, late = file:close() -- what was buffered may fail only now
  if not (written and closed) then return failure(path, number or late) end
end

--- Writes the report on one engine. Returns nil, or the reason and the exit code.
function report.write(path, engine, plan, verdict)
  return report.save(path, report.of(engine, plan, verdict))
end

return report
