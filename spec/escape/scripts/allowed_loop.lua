-- SPDX-License-Identifier: MIT
-- It loops without end.
return { stopped_by = { "full", "standard", "hardened" }, hangs = true, attack = function()
  while true do end
end }
