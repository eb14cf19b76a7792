-- SPDX-License-Identifier: MIT
-- It returns a million results for one message.
return { stopped_by = { "full", "standard", "hardened" }, result = true, attack = function()
  local list, tide = {}, require "tidemill"
  for i = 1, 1e6 do list[i] = "x" end
  return tide.many(list)
end }
