-- SPDX-License-Identifier: MIT
-- It goes on when it is refused memory.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local list = {}
  while true do pcall(function() list[#list + 1] = ("x"):rep(1e6 + #list) end) end
end }
