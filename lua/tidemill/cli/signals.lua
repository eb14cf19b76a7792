-- SPDX-License-Identifier: MIT
-- cli/signals.lua: knows the signals that an engine reports, and what they ask for; and the names of those that end
-- one.
local signals = { HUP = 1, INT = 2, QUIT = 3, ILL = 4, ABRT = 6, BUS = 7, FPE = 8, KILL = 9, USR1 = 10, SEGV = 11,
  USR2 = 12, TERM = 15 }

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

return signals
