-- SPDX-License-Identifier: MIT
-- cli/engines/whole.lua: what is shown of several engines as one: the line of progress, the HTTP server with the pages
-- of one engine, the report. All of it is made once a second of the engines' snapshots (cli/engines/merge.lua), with
-- the modules that show one engine: to them this object is an observer, and its field `engine` an engine.
local dashboard = require("tidemill.cli.dashboard")
local ffi = require("ffi")
local forward = require("tidemill.cli.engines.forward")
local json = require("tidemill.cli.json")
local merge = require("tidemill.cli.engines.merge")
local metrics = require("tidemill.metrics")
local observed = require("tidemill.cli.observed")
local page = require("tidemill.cli.engines.page")
local posix = require("tidemill.run.posix")
local progress = require("tidemill.cli.progress")
local prometheus = require("tidemill.metrics.prometheus")
local report = require("tidemill.cli.report")
local server = require("tidemill.metrics.server")
local status = require("tidemill.cli.status")
local tide = require("tidemill.run.ffi")

local whole = {}
local Whole = {}
Whole.__index = Whole

local SILENT = 5 -- seconds; an engine that reads says that it is alive each second

-- What cli/progress.lua asks of an engine.
local Numbers = {}
Numbers.__index = Numbers

function Numbers:totals()
  local totals = {}
  for name, value in pairs(self.whole.snapshot.totals) do totals[name] = value end
  totals.lag, totals.lag_seconds = totals.lag or -1, totals.lag_seconds or -1
  return totals
end

local FIELD = { TIDE_M_PROCESSES = "processes", TIDE_M_BATCHES_IN_PROGRESS = "batches_in_progress" }

function Numbers:counter(row, metric)
  for number, one in ipairs(metrics.task_rows(self.whole.plan)) do
    local step = one == row and self.whole.snapshot.steps[number]
    if step then return { last = step[FIELD[metric]] } end
  end
  return { last = 0 }
end

--- Writes a line of the log that is of no single engine. A JSON line has `event` and `fields` too, where they are
--- given.
function whole.log(level, text, event, fields)
  tide.C.tide_log_fields(level, text, event and ('"event":"%s",%s'):format(event, json.members(fields)) or nil)
end

local log = whole.log

--- engines: those of the supervisor (cli/engines.lua), with what it knows of each. Its fields server, settings, plan,
--- snapshot are those of an observer.
function whole.new(plan, engines, options)
  local self = setmetatable({ plan = plan, engines = engines, settings = options.metrics, parts = {},
    started = tonumber(tide.C.tide_clock_wall_ms()) }, Whole)
  self.engine = setmetatable({ whole = self }, Numbers)
  self.progress = progress.new(plan, function(text, event, fields, debugging)
    log(debugging and "TIDE_LOG_DEBUG" or "TIDE_LOG_INFO", text, event, fields)
  end, false)
  self:look()
  return self
end

--- Begins to answer HTTP, if it is wanted. Nil, or the reason and the exit code.
function Whole:listen()
  local address = self.settings.prometheus
  if not address then return nil end
  local made, reason, code = server.new(address, self.settings.hosts)
  if not made then return reason, code end
  self.server, self.forward = made, forward.new(made, self.engines)
  observed.announce(made, address.host, log)
  for _, part in ipairs { dashboard, status } do
    local added
    added, reason, code = part.new(self)
    if not added then return reason, code end
    table.insert(self.parts, added)
  end
  self:publish_page()
end

--- Part of an observer: what GET `path` answers from now on.
function Whole:publish(path, type, text, size)
  self.server:publish(path, type, text, size)
end

-- Ready: each engine that has not ended reads, and one of them has partitions. Else the state of the first that does
-- not.
local function readiness(self)
  local some, text = false, "no partitions are assigned yet"
  for _, one in ipairs(self.engines) do
    some = some or one.ready
    if one.state ~= "RUNNING" and one.state ~= "ENDED" then
      return false, ("engine %d: %s"):format(one.number, one.state:lower())
    end
    if not one.ready and one.text then text = one.text end
  end
  return some, some and "ready" or text
end

local function state_of(self)
  local counts = {}
  for _, one in ipairs(self.engines) do counts[one.state] = (counts[one.state] or 0) + 1 end
  if counts.STOPPING then return "draining" end
  if counts.RUNNING then return "reading" end
  return counts.ENDED == #self.engines and "ended" or "connecting"
end

--- Part of an observer: makes the snapshot anew.
function Whole:look()
  local now = tonumber(tide.C.tide_clock_wall_ms())
  self.snapshot = merge.snapshot(self.engines, { name = self.plan.name, pid = posix.getpid(), time = now,
    program = "tidemill " .. ffi.string(tide.C.tide_version()), uptime = (now - self.started) / 1000,
    state = state_of(self), ready = (readiness(self)) })
  return self.snapshot
end

function Whole:publish_page()
  local texts = {}
  for _, one in ipairs(self.engines) do texts[#texts + 1] = one.page end
  self:publish("/metrics", prometheus.TYPE,
    page.merge(texts, page.of_engines(self.engines, self.plan.tables.name, self.settings)))
end

--- Once a second.
function Whole:second()
  local seen = self:look()
  self.progress:show(self.engine, seen.verdict)
  for _, part in ipairs(self.parts) do part:second(seen) end
  if self.server then self:publish_page() end
end

-- An engine that reads and says nothing has a loop that does not turn.
local function is_alive(self, now)
  for _, one in ipairs(self.engines) do
    if one.state == "RUNNING" and now > one.heard + SILENT then return false end
  end
  return true
end

--- Called at each turn of the supervisor. now: seconds.
function Whole:turn(now)
  if not self.server then return end
  if is_alive(self, now) then self.server:alive(readiness(self)) end
  self.server:turn()
  self.forward:turn()
end

--- True while there are live requests: then turns are to be short.
function Whole:busy()
  return self.server and self.server:busy()
end

--- At the end: the last lines, and the report, if it is wanted. Returns the exit code, `code` unless the report fails.
function Whole:finish(code, path)
  local seen = self:look()
  self.progress:finish(self.engine, code == 0 and "done" or "stopped")
  self.progress:conclude(seen.verdict)
  if not path then return code end
  local reason, failed = report.save(path, report.of_engines(seen))
  if not reason then return code end
  log("TIDE_LOG_ERROR", "--report: " .. reason)
  return code == 0 and failed or code
end

function Whole:free()
  if self.server then self.server:free() end
end

return whole
