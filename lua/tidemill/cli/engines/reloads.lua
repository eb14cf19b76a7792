-- SPDX-License-Identifier: MIT
-- cli/engines/reloads.lua: numbers the reloads of several engines, so that all of them say in the same way to which one
-- they have come. An engine counts those of its present life, from 1. A process that starts loads the files as they are
-- then, so it has come to all reloads that were ordered before, and its own count goes on from there.
local reloads = {}
local Reloads = {}
Reloads.__index = Reloads

--- Returns the count of a supervisor: its field `number` is that of the last reload.
function reloads.new()
  return setmetatable({ number = 0 }, Reloads)
end

--- All engines are told to reload.
function Reloads:order()
  self.number = self.number + 1
end

--- The process of an engine starts. time: in milliseconds since the epoch. What an engine has come to in its life
--- before stays its field `reloaded` until a snapshot tells more.
function Reloads:starts(one, time)
  one.reloads_before, one.started = self.number, time
end

--- A snapshot of an engine's present life has come: its last reload gets the number that counts for all.
function Reloads:take(one, seen)
  local reload = seen.reload
  if not reload then return end
  if reload.last then
    reload.last.number = one.reloads_before + reload.last.number
  elseif one.reloads_before > 0 then
    reload.last = { number = one.reloads_before, outcome = "done", time = one.started }
  end
  one.reloaded = reload.last and reload.last.number or 0
  self.number = math.max(self.number, one.reloaded) -- engines reload by themselves, too: after SIGHUP
end

return reloads
