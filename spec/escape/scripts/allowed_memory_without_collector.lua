-- SPDX-License-Identifier: MIT
-- It stops the garbage collector and makes garbage.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  collectgarbage "stop"
  local last
  for i = 1, 1e9 do last = { last, ("x"):rep(100) .. i } end
end }
