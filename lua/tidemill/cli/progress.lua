-- SPDX-License-Identifier: MIT
-- cli/progress.lua: shows how a run goes: on a terminal by a line that is redrawn each second, elsewhere by a log line
-- when something changed, and once a minute.
local ffi = require("ffi")
local metrics = require("tidemill.metrics")
local tide = require("tidemill.run.ffi")
local posix = require("tidemill.run.posix")
local units = require("tidemill.plan.units")

local STDERR, TIOCGWINSZ = 2, 0x5413
local QUIET = 60 -- seconds without a change, after which a log line comes all the same

local grouped = units.show_count

local progress = {}
local Progress = {}
Progress.__index = Progress

--- `log`: a function that writes one log line, given its text, the name of the event, fields by name, and whether it is
--- only for debugging; `redraw`: on a terminal, in place of it.
function progress.new(plan, log, redraw)
  return setmetatable({ plan = plan, log = log, redraw = redraw, read = 0, drawn = false, calm = 0 }, Progress)
end

--- True when stderr is a terminal.
function progress.on_terminal()
  return posix.isatty(STDERR) == 1
end

-- Writes without io.stderr: a terminal that is held (Ctrl-S) must not hold the engine.
local function draw(text)
  tide.C.tide_log_bytes(text, #text)
end

-- A line longer than the terminal would wrap, and could not be redrawn.
local function cut(text)
  local size = ffi.new("unsigned short[4]") -- rows, columns, and pixels
  if posix.ioctl(STDERR, TIOCGWINSZ, size) ~= 0 or size[1] == 0 then return text end
  return text:sub(1, size[1] - 1)
end

local function lag_text(totals)
  if totals.lag < 0 then return "lag unknown" end
  local age = totals.lag_seconds >= 0 and (" (%.1f s)"):format(totals.lag_seconds) or ""
  return "lag " .. grouped(totals.lag) .. age
end

-- What the limit is, in a word or two: "none", "workers", "workers of step 2".
local function limit_text(verdict)
  return verdict.limit .. (verdict.step and verdict.step > 1 and (" of step %d"):format(verdict.step) or "")
end

--- Returns the line: totals of the engine, `rate` in messages a second; verdict: what the limit is, or nil.
function progress.text(totals, rate, batches, processes, verdict)
  local parts = {
    "read " .. grouped(totals.read), "produced " .. grouped(totals.produced), "filtered " .. grouped(totals.filtered),
  }
  if totals.dead_lettered > 0 then parts[#parts + 1] = "dead letters " .. grouped(totals.dead_lettered) end
  parts[#parts + 1] = grouped(rate) .. "/s"
  parts[#parts + 1] = lag_text(totals)
  parts[#parts + 1] = "in flight " .. grouped(totals.in_flight)
  parts[#parts + 1] = ("batches %.0f of %.0f processes"):format(batches, processes)
  if verdict and verdict.limit ~= "none" then parts[#parts + 1] = "limit " .. limit_text(verdict) end
  return table.concat(parts, ", ")
end

local function gauges(self, engine)
  return metrics.steps_gauge(engine, self.plan, "TIDE_M_BATCHES_IN_PROGRESS"), metrics.processes(engine, self.plan)
end

local COUNTS = { "read", "produced", "produced_from", "filtered", "dead_lettered", "dropped", "in_flight" }

-- Returns the fields that a log line has beside the text.
local function fields_of(totals, more)
  local fields = more
  for _, name in ipairs(COUNTS) do fields[name] = totals[name] end
  if totals.lag >= 0 then fields.lag = totals.lag end
  if totals.lag_seconds >= 0 then fields.lag_seconds = totals.lag_seconds end
  return fields
end

-- Writes a log line; one that repeats the last one is for debugging.
local function log_change(self, text, fields)
  local counts = { fields.lag or -1, fields.batches, fields.processes }
  for _, name in ipairs(COUNTS) do counts[#counts + 1] = fields[name] end
  local state = table.concat(counts, " ")
  self.calm = self.calm + 1
  local news = state ~= self.state or self.calm >= QUIET
  if news then self.state, self.calm = state, 0 end
  self.log(text, "progress", fields, not news)
end

--- Called once a second.
function Progress:show(engine, verdict)
  local totals = engine:totals()
  local rate, batches, processes = totals.read - self.read, gauges(self, engine)
  local text = progress.text(totals, rate, batches, processes, verdict)
  self.read = totals.read
  if not self.redraw then
    return log_change(self, text, fields_of(totals, { rate = rate, batches = batches, processes = processes }))
  end
  draw("\r\27[K" .. cut(text))
  self.drawn = true
end

--- Before anything else is written to the terminal.
function Progress:clear()
  if self.drawn then draw("\r\27[K") end
  self.drawn = false
end

--- At the end: the totals, with the mean rate. `outcome`: how it ended.
function Progress:finish(engine, outcome)
  self:clear()
  local totals = engine:totals()
  local rate = totals.seconds > 0 and totals.read / totals.seconds or 0
  local text = ("%s: read %s, produced %s, filtered %s, dead letters %s in %.1f s, %s/s"):format(outcome,
    grouped(totals.read), grouped(totals.produced), grouped(totals.filtered), grouped(totals.dead_lettered),
    totals.seconds, grouped(rate))
  self.log(text, outcome, fields_of(totals, { rate = rate, seconds = totals.seconds }))
end

--- After that: what bound the whole run, and what to change. A run that was too short to tell says nothing.
function Progress:conclude(verdict)
  if not next(verdict.evidence) then return end
  local advice = verdict.advice and ("; " .. verdict.advice) or ""
  self.log(verdict.text .. advice, "verdict", { limit = verdict.limit })
end

return progress
