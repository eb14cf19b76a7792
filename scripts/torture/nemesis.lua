-- SPDX-License-Identifier: MIT
-- The nemesis injects the faults (the word is Jepsen's). Each kind of fault is a function in `act`, which returns true
-- when it has done its harm; else there was no process for it, and it is tried again in the next turn. What has to
-- follow later (SIGCONT, a start) is put into `later` with its time.
local ffi = require "ffi"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local fleet = require "scripts.torture.fleet"
local journal = require "scripts.torture.journal"

local nemesis = {}
local methods = {}
local metatable = { __index = methods }

local SEGV = 11
local SESSION = 4 -- seconds; session.timeout.ms of pipeline.lua
local KILLED, TRY_AGAIN = 137, fleet.TRY_AGAIN

function nemesis.new(events, engines, settings)
  return setmetatable({ events = events, at = 1, fleet = engines, settings = settings, later = {}, injected = {},
    next_time = wait.now() + 3 }, metatable)
end

local function note(self, event, pid, run)
  journal.write(self.settings.journal, run or "-", event, pid or 0)
end

local function after(self, seconds, fn)
  table.insert(self.later, { time = wait.now() + seconds, fn = fn })
end

local function choose(list, pick)
  return list[math.floor(pick * #list) + 1]
end

local function works(engine)
  return engine.wanted and not engine.stopped and not engine.leaving and #engine.workers > 0
end

local function engine_at(self, pick)
  return choose(self.fleet:which(works), pick)
end

local act = {}

local function signal_worker(self, event, number)
  local engine = engine_at(self, event.pick)
  if not engine then return false end
  local index = math.floor(event.pick * 9973) % #engine.workers + 1
  local pid = table.remove(engine.workers, index)
  note(self, event.kind, pid, engine.run)
  return ffi.C.kill(pid, number) == 0
end

function act.kill_worker(self, event) return signal_worker(self, event, 9) end
function act.segv_worker(self, event) return signal_worker(self, event, SEGV) end

function act.kill_workers(self, event)
  local engine = engine_at(self, event.pick)
  if not engine then return false end
  for _, pid in ipairs(engine.workers) do
    note(self, "kill_worker", pid, engine.run)
    process.kill(pid)
  end
  engine.workers = {}
  return true
end

-- It is to take less than message_timeout, so that no message must be attributed a timeout. It takes longer where the
-- machine leaves this process no core: the journal tells when it was over (recovery.long_stops).
function act.stop_worker(self, event)
  local engine = engine_at(self, event.pick)
  if not engine then return false end
  local pid = choose(engine.workers, event.pick * 9973 % 1)
  note(self, "stop_worker", pid, engine.run)
  process.pause(pid)
  local run = engine.run
  after(self, 0.03 + 0.12 * event.pick, function()
    process.resume(pid)
    note(self, "resume_worker", pid, run)
  end)
  return true
end

-- How many of the reloads that it was asked for it has told the end of.
local function told(engine)
  local text = engine.process:stderr()
  return select(2, text:gsub("reload: revision %d+ of the transforms runs now", ""))
    + select(2, text:gsub("reload: refused", ""))
end

-- By the command, which only sends a signal. The one before has to be over, or two would be one.
local function reload(self, event, ...)
  local engine = engine_at(self, event.pick)
  if not engine or told(engine) < engine.reloads then return false end
  local pid = engine.process:pid()
  note(self, event.kind, pid, engine.run)
  local code, _, words = process.run { fleet.PROGRAM, "reload", ("%d"):format(pid), ... }
  if code ~= 0 then error("tidemill reload: " .. words) end
  engine.reloads = engine.reloads + 1
  return true
end

function act.reload(self, event) return reload(self, event) end
function act.reload_canary(self, event) return reload(self, event, "--canary", "50%", "--compare") end

function act.kill_engine(self, event)
  local engine = engine_at(self, event.pick)
  if not engine then return false end
  engine.expected[KILLED] = true
  note(self, "kill_engine", engine.process:pid(), engine.run)
  return engine.process:signal("KILL")
end

-- It dies, and its disk with it: an engine that is not gone yet would write into a folder from which files vanish.
function act.lose_state(self, event)
  local engine = engine_at(self, event.pick)
  if not engine then return false end
  engine.expected[KILLED] = true
  note(self, "lose_state", engine.process:pid(), engine.run)
  engine.process:signal("KILL")
  assert(engine.process:wait(), "an engine lives on after SIGKILL")
  return os.execute(("rm -rf '%s'"):format(self.fleet:state_dir(engine.name))) == 0
end

-- One of the engines under a supervisor, which starts it again.
local function member_at(self, pick)
  local engine = choose(self.fleet:which(function(one) return works(one) and one.members end), pick)
  local pid = engine and choose(fleet.members(engine), pick)
  return engine, pid
end

function act.kill_member(self, event)
  local engine, pid = member_at(self, event.pick)
  if not pid then return false end
  note(self, "kill_member", pid, engine.run)
  process.kill(pid)
  return true
end

function act.stop_member(self, event)
  local engine, pid = member_at(self, event.pick)
  if not pid then return false end
  note(self, "stop_member", pid, engine.run)
  process.pause(pid)
  after(self, 0.5 + (SESSION + 1) * event.pick, function() process.resume(pid) end)
  return true
end

function act.kill_zygote(self, event)
  local engine = choose(self.fleet:which(function(one) return works(one) and one.zygote end), event.pick)
  if not engine then return false end
  engine.expected[TRY_AGAIN] = true
  note(self, "kill_zygote", engine.zygote, engine.run)
  process.kill(engine.zygote)
  engine.zygote = nil
  return true
end

local function freeze(self, event, seconds)
  local engine = engine_at(self, event.pick)
  if not engine then return false end
  local stopped = engine.process
  engine.stopped = true
  note(self, event.kind, stopped:pid(), engine.run)
  stopped:signal("STOP")
  after(self, seconds, function()
    if engine.process ~= stopped then return end
    engine.stopped = false
    note(self, "continue", stopped:pid(), engine.run)
    stopped:signal("CONT")
  end)
  return true
end

-- The first is within the session timeout; the second exceeds it, so that its partitions go to others meanwhile.
function act.stop_engine(self, event) return freeze(self, event, 0.5 + 2 * event.pick) end
function act.freeze(self, event) return freeze(self, event, SESSION + 1 + 2 * event.pick) end

-- One of the dynamic members leaves, by `go`, and comes back later; the last one that works stays.
local function depart(self, event, seconds, go)
  local engine = choose(self.fleet:which(function(one) return works(one) and not one.static end), event.pick)
  if not engine or #self.fleet:which(works) < 2 then return false end
  engine.wanted = false
  note(self, event.kind, engine.process:pid(), engine.run)
  after(self, seconds, function() engine.wanted = true end)
  return go(engine)
end

function act.leave(self, event)
  return depart(self, event, 1 + 1.5 * event.pick, fleet.stop)
end

function act.lose(self, event)
  return depart(self, event, SESSION + 1, function(engine)
    engine.expected[KILLED] = true
    return engine.process:signal("KILL")
  end)
end

-- Stops the broker by a command of kafka.sh and starts it again, in a process of its own.
local function broker(self, event, subcommand)
  if self.broker then return false end
  local command = ('scripts/dev/kafka.sh %s "$0" && scripts/dev/kafka.sh restart "$0"'):format(subcommand)
  note(self, event.kind)
  self.broker = process.start { "bash", "-c", command, assert(os.getenv("TIDE_KAFKA_DIR"), "no TIDE_KAFKA_DIR") }
  return true
end

function act.kill_broker(self, event) return broker(self, event, "kill") end
function act.restart_broker(self, event) return broker(self, event, "stop") end

function act.stop_broker(self, event)
  if self.broker then return false end
  local pid = kafka.broker_pid()
  note(self, event.kind, pid)
  process.pause(pid)
  after(self, 1 + 3 * event.pick, function() process.resume(pid) end)
  return true
end

local function turn_broker(self)
  if not self.broker or self.broker:running() then return end
  if self.broker:code() ~= 0 then error("the broker did not come back: " .. self.broker:stderr()) end
  note(self, "broker_back")
  self.broker = nil
  self.next_time = wait.now() + self.events[math.min(self.at, #self.events)].gap
end

local function turn_later(self)
  for i = #self.later, 1, -1 do
    local one = self.later[i]
    if wait.now() >= one.time then
      table.remove(self.later, i)
      one.fn()
    end
  end
end

--- Does what is due. False once all faults were injected and nothing is left to follow.
function methods:turn()
  turn_broker(self)
  turn_later(self)
  local event = self.events[self.at]
  if not event then return self.broker ~= nil or #self.later > 0 end
  if self.broker or wait.now() < self.next_time then return true end
  if act[event.kind](self, event) then
    self.injected[event.kind] = (self.injected[event.kind] or 0) + 1
    self.at = self.at + 1
    self.next_time = wait.now() + event.gap
  end
  return true
end

--- Cleans up after a run that failed: nothing stays suspended, and the broker is started.
function methods:undo()
  for _, one in ipairs(self.later) do one.fn() end
  self.later = {}
  if self.broker then self.broker:wait(90) end
end

return nemesis
