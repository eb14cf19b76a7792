-- SPDX-License-Identifier: MIT
-- It makes a coroutine within a coroutine, and so on.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local function deeper() return coroutine.wrap(deeper)() end
  deeper()
end }
