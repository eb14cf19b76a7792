-- SPDX-License-Identifier: MIT
-- metrics/observer.lua: the one place that looks at a running engine. Once a second it makes a snapshot and gives it to
-- its parts: the advisor, the controller of sizes, the exporters, the dashboard. Nothing else reads the counters, and a
-- request over HTTP never does: it is answered from what was published last.
--
-- A part is a table with any of these functions:
--   second(self, snapshot)   once a second; it may fill in fields of the snapshot for the parts after it
--   turn(self)               after each turn of the loop
--   finish(self, snapshot)   at the end, with the last snapshot
local posix = require("tidemill.run.posix")
local server = require("tidemill.metrics.server")
local snapshot = require("tidemill.metrics.snapshot")
local tide = require("tidemill.run.ffi")

local SHARE = 0.01 -- of the engine's thread that the observer may take
local SLICE = 0.005 -- seconds of it in one turn, after which the next part waits for the next turn

local observer = {}
local Observer = {}
Observer.__index = Observer

--- settings: the values of tide.metrics that are in force (cli/metrics_options.lua), or an empty table. Returns the
--- observer, or nil, the reason and the exit code. settings.server: what stands in for an HTTP server. Its fields
--- engine, plan, settings, server (nil without HTTP) and snapshot (the last one) are for its parts.
function observer.new(engine, plan, settings)
  local self = setmetatable({ engine = engine, plan = plan, settings = settings, parts = {}, failed = {},
    rested = 0 }, Observer)
  self.run = { pid = posix.getpid(), started = tonumber(tide.C.tide_clock_wall_ms()), ready = false }
  self.server = settings.server -- of several engines (cli/engines/link.lua)
  if settings.prometheus and not self.server then
    local reason, status
    self.server, reason, status = server.new(settings.prometheus, settings.hosts)
    if not self.server then return nil, reason, status end
  end
  return self
end

--- Adds a part; they are called in the order in which they were added.
function Observer:add(part)
  self.parts[#self.parts + 1] = part
end

-- Calls fn(...) of `what`, the observer or a part of it. What fails is left out from then on: messages go on. Returns
-- whether it went well.
local function call_protected(self, what, fn, ...)
  if self.failed[what] then return false end
  local done, reason = xpcall(fn, debug.traceback, ...)
  if done then return true end
  self.failed[what] = true
  tide.C.tide_log_text("TIDE_LOG_ERROR", ("%s is left out from now on, since it failed: %s"):format(
    what == self and "what the observer shows" or "a part of the observer", tostring(reason)))
  return false
end

local function call(self, part, name, ...)
  if part[name] then call_protected(self, part, part[name], part, ...) end
end

local function call_all(self, name, ...)
  for _, part in ipairs(self.parts) do call(self, part, name, ...) end
end

--- Makes a snapshot, without giving it to the parts.
function Observer:look()
  self.snapshot, self.before = snapshot.new(self.engine, self.plan, self.run, self.before)
  return self.snapshot
end

-- Gives the snapshot to the parts from number `due` on. When this turn has taken long enough, the others get it in the
-- next turns.
local function go_on(self)
  local from = tide.C.tide_clock_thread_us()
  local function spent() return tonumber(tide.C.tide_clock_thread_us() - from) end
  while self.due and spent() < SLICE * 1e6 do
    local part = self.parts[self.due]
    self.due = part and self.due + 1
    if part then call(self, part, "second", self.snapshot) end
  end
  self.spent = self.spent + spent()
  if not self.due then self.rested = -math.floor(self.spent / (SHARE * 1e6)) end
end

--- Once a second. With thousands of partitions this takes long enough to be felt: then it is done in slices, and
--- seconds are left out, so that the observer never takes more than a share of the engine's thread.
function Observer:second()
  if self.due then return end
  if self.rested < 0 then
    self.rested = self.rested + 1
    return
  end
  local from = tide.C.tide_clock_thread_us()
  if not call_protected(self, self, self.look, self) then return end
  self.spent, self.due = tonumber(tide.C.tide_clock_thread_us() - from), 1
  go_on(self)
end

-- Ready: connected, partitions were assigned, and messages are read.
local function readiness(self)
  local state = self.engine:state()
  if state ~= "reading" then return false, state end
  if not self.assigned then return false, "no partitions are assigned yet" end
  return true, "ready"
end

--- After each turn of the loop.
function Observer:turn(event)
  if event.kind == "assigned" then self.assigned = true end
  if event.kind == "lost" then self.assigned = false end
  local text
  self.run.ready, text = readiness(self)
  if self.server then
    self.server:alive(self.run.ready, text)
    self.server:turn()
  end
  if self.due then go_on(self) end
  call_all(self, "turn")
end

--- How long a turn may take, in seconds; nil = as long as it likes.
function Observer:haste()
  if self.due then return 0 end
  return self.server and self.server:busy() and 0.1 or nil
end

--- What GET `path` answers from now on: a string, or a pointer and its `size`. Nothing without HTTP.
function Observer:publish(path, type, text, size)
  if self.server then self.server:publish(path, type, text, size) end
end

--- Live requests: see metrics/server.lua. Nothing without HTTP.
function Observer:live(path, handler, type)
  if self.server then self.server:live(path, handler, type) end
end

--- At the end of the run.
function Observer:finish()
  self.due = nil
  if call_protected(self, self, self.look, self) then call_all(self, "finish", self.snapshot) end
end

function Observer:free()
  if self.server then self.server:free() end
end

return observer
