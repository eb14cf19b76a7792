-- SPDX-License-Identifier: MIT
-- It calls itself without end, and in the handler of the error again.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local function deeper() return 1 + deeper() end
  xpcall(deeper, deeper)
end }
