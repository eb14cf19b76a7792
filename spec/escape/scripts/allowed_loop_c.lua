-- SPDX-License-Identifier: MIT
-- It calls C functions without end.
return { stopped_by = { "full", "standard", "hardened" }, hangs = true, attack = function()
  while true do ("x"):rep(100):upper() end
end }
