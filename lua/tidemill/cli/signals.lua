-- SPDX-License-Identifier: MIT
-- cli/signals.lua: knows the signals that an engine reports, and what they ask for; the names of those that end
-- one; and when a signal that asks for the end is to be obeyed.
local signals = { HUP = 1, INT = 2, QUIT = 3, ILL = 4, ABRT = 6, BUS = 7, FPE = 8, KILL = 9, USR1 = 10, SEGV = 11,
  USR2 = 12, TERM = 15 }

local MOMENT = 0.05 -- seconds: signals that follow each other so soon count as one

local names = {}
for name, number in pairs(signals) do names[number] = name end

--- "SIGTERM"
function signals.name(number)
  return names[number] and "SIG" .. names[number] or "signal " .. number
end

--- True for signals that ask for the end.
function signals.ends(number)
  return number ~= signals.USR1 and number ~= signals.USR2
end

local Stop = {}
Stop.__index = Stop

--- What INT, TERM and QUIT ask for. timeout(1) signals its command, and then the group that the command is in: both
--- together are the first signal, and only one that comes after it was obeyed is the second.
function signals.stop()
  return setmetatable({}, Stop)
end

--- A signal was read; now: seconds.
function Stop:came(number, now)
  if not self.number then self.number, self.at = number, now end
end

--- The number of the signal once it is to be obeyed, else nil. read: the time (seconds) up to which all signals that
--- came have been read. The present time is none: a process may be stopped between reading and asking.
function Stop:due(read)
  return self.number and read >= self.at + MOMENT and self.number or nil
end

--- Seconds until it may be due; nil: no signal came.
function Stop:left(now)
  return self.number and math.max(0, self.at + MOMENT - now)
end

return signals
