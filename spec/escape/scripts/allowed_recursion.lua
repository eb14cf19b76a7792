-- SPDX-License-Identifier: MIT
-- It calls itself without end.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local function deeper() return 1 + deeper() end
  deeper()
end }
