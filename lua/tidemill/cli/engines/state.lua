-- SPDX-License-Identifier: MIT
-- cli/engines/state.lua: the state of one engine of several, as its supervisor sees it, and what becomes of it and of
-- the others when its process ends. It starts nothing itself, so that specs can play any sequence (its clock is an
-- argument).
--
--   state      what happens                                   next
--   NEW        nothing: the first engine loads the            STARTING: it has loaded them
--              transforms, and says for all if they fail
--   STARTING   its process loads the transforms and           RUNNING: it reads
--              connects                                       BACKOFF: its process has ended, outcome "again"
--                                                             ENDED: it has ended otherwise
--                                                             STOPPING: all are to end
--   RUNNING    it reads                                       as STARTING
--   BACKOFF    nothing: it was lost a moment ago              STARTING: its time has come
--                                                             ENDED: all are to end
--   STOPPING   it works off what it has read                  ENDED: its process has ended
--   ENDED      nothing                                        none
--
-- The outcome of an end that nobody has asked for, by the exit code (docs/scaling.md shows the same table to users):
--
--   0                            "done"    its input has ended (--until-end); the others go on
--   75, 70, by a signal          "again"   it is lost, and starts again after a pause; the others go on
--   69 when it has read before   "again"   the brokers are away, as they may be at run time
--   any other                    "all"     all end in order, with this code
--   "again", MOST times in a row "all"     with its code, 75 for a signal: it never came to read
--   before it could read
local exit_code = require("tidemill.plan.exit_code")

local state = {}
local State = {}
State.__index = State

--- The pause before an engine starts again, in seconds: doubled each time, up to the longest; from the beginning once
--- it has read for so long.
state.FIRST, state.LONGEST, state.WELL = 0.5, 30, 10
--- So many lives in a row may end before they come to read.
state.MOST = 5
--- What an engine's process ends with when all went well and it is to begin anew with a renewed certificate. Nobody
--- else sees this code: it is shown as 75, or 0 when all are to end.
state.RENEWED = 71

--- Returns the state of engine `number`, from 1: number, state, life (how often its process was started), losses, code
--- (of the end of its last process; nil while it runs).
function state.new(number)
  return setmetatable({ number = number, state = "NEW", life = 0, losses = 0, pause = state.FIRST, vain = 0 }, State)
end

--- What waitpid tells as an exit code, 128 and the number for a signal; and the number of the signal, or nil.
function state.code_of(status)
  local signal = status % 128
  if signal == 0 then return math.floor(status / 256) % 256 end
  return 128 + signal, signal
end

--- Its process is started.
function State:start()
  assert(self.state == "NEW" or self.state == "BACKOFF", self.state)
  self.state, self.life, self.code, self.signal = "STARTING", self.life + 1, nil, nil
end

--- It reads.
function State:reads(now)
  if self.state ~= "STARTING" then return end
  self.state, self.since, self.vain, self.has_read = "RUNNING", now, 0, true
end

--- All are to end. True when its process is there, and is to be told.
function State:stop()
  local runs = self.state == "STARTING" or self.state == "RUNNING"
  if runs then
    self.state = "STOPPING"
  elseif self.state == "BACKOFF" then -- how it was lost is told already, and nobody waits for it
    self.state, self.code, self.signal = "ENDED", nil, nil
  elseif self.state == "NEW" then
    self.state = "ENDED"
  end
  return runs
end

local function outcome_of(self)
  if self.signal then return "again" end
  if self.code == exit_code.OK then return "done" end
  local again = self.code == exit_code.TEMPORARY or self.code == exit_code.INTERNAL or self.code > 128
    or self.code == exit_code.UNREACHED and self.has_read
  return again and "again" or "all"
end

local function lose(self, now)
  local ran_well = self.state == "RUNNING" and now - self.since >= state.WELL
  if ran_well then self.pause = state.FIRST end
  self.losses = self.losses + 1
  self.vain = self.state == "STARTING" and self.vain + 1 or 0
  if self.vain >= state.MOST then
    self.state = "ENDED"
    return "all", self.signal and exit_code.TEMPORARY or self.code
  end
  self.state, self.due = "BACKOFF", now + self.pause
  self.pause = math.min(state.LONGEST, self.pause * 2)
  return "again"
end

--- Its process has ended, with a status of waitpid (nil: it could not be forked). Returns the outcome: "done", "again",
--- or "all" and the exit code for all.
function State:ended(status, now)
  self.code, self.signal = exit_code.TEMPORARY, nil
  if status then self.code, self.signal = state.code_of(status) end
  local renewed = self.code == state.RENEWED
  if renewed then self.code = exit_code.TEMPORARY end
  if self.state == "STOPPING" then
    if renewed then self.code = exit_code.OK end -- it had ended in order before it was told to
    self.state = "ENDED"
    return "done"
  end
  local outcome = outcome_of(self)
  if outcome == "again" then return lose(self, now) end
  self.state = "ENDED"
  return outcome, outcome == "all" and self.code or nil
end

--- Whether it is to be started now.
function State:is_due(now)
  return self.state == "BACKOFF" and now >= self.due
end

--- The exit code of engines that have all ended, of which none has ended the others: 0, or the first other one that
--- came while they were stopped, 75 for one that was killed. When none had begun to read, it is that of an engine which
--- was stopped while it loaded the transforms, 128 and the number of the signal.
function state.code_of_all(states)
  local stopped, has_read = exit_code.OK, false
  for _, one in ipairs(states) do
    if one.signal then return exit_code.TEMPORARY end
    local code = one.code or exit_code.OK
    if code ~= exit_code.OK and code <= 128 then return code end
    if code > 128 then stopped = code end
    has_read = has_read or one.has_read
  end
  return has_read and exit_code.OK or stopped
end

return state
