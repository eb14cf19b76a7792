-- SPDX-License-Identifier: MIT
-- metrics/profiling.lua: takes the profile of one worker, from the order to sample to its answer, a step at each turn
-- of the loop, so that the engine never waits for it.
local profiling = {}
local Profiling = {}
Profiling.__index = Profiling

local PATIENCE = 10 -- seconds until it begins, and for the answer

--- Begins with the profile of worker `index` (from 0) of a pool (from 0), for `seconds`. now(): the time in seconds.
function profiling.new(engine, pool, index, seconds, now)
  return setmetatable({ engine = engine, pool = pool, index = index, seconds = seconds, now = now, state = "waiting",
    until_s = now() + PATIENCE }, Profiling)
end

-- Each returns the next state; "done" with the text, "failed" with the reason.
local states = {}

function states.waiting(self)
  if self.engine:profile_begin(self.pool, self.index, self.seconds + PATIENCE) then
    self.begun = true
    self.until_s = self.now() + self.seconds
    return "sampling"
  end
  if self.now() < self.until_s then return "waiting" end
  return "failed", ("worker %d cannot be profiled now: it is starting, or does not take orders, or somebody else "
    .. "profiles it"):format(self.index)
end

local function look(self)
  local state, text = self.engine:profile(self.pool, self.index)
  if state == "lost" then return "failed", "the worker died while it was profiled; it has been replaced" end
  if state == "done" then return "done", text end
end

function states.sampling(self)
  local state, text = look(self)
  if state then return state, text end
  if self.now() < self.until_s or not self.engine:profile_end(self.pool, self.index) then return "sampling" end
  self.until_s = self.now() + PATIENCE
  return "ending"
end

function states.ending(self)
  local state, text = look(self)
  if state then return state, text end
  if self.now() < self.until_s then return "ending" end
  return "failed", ("the worker has not answered for %d s: it answers between two batches, and has not come to the end "
    .. "of this one. See slow_messages in /status"):format(PATIENCE)
end

--- To be called each turn. Nil while it goes on; then the text, or false and the reason.
function Profiling:turn()
  local text
  self.state, text = states[self.state](self)
  if self.state ~= "done" and self.state ~= "failed" then return nil end
  self:forget()
  if self.state == "done" then return text end
  return false, text
end

--- Nobody wants it any more. While it waits, the profile that the engine has of the worker is that of somebody else.
function Profiling:forget()
  if self.begun then self.engine:profile_forget(self.pool, self.index) end
  self.begun = false
end

return profiling
