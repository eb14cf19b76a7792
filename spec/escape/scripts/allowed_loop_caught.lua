-- SPDX-License-Identifier: MIT
-- It loops without end through pcall, which would catch an error that ends it.
return { stopped_by = { "full", "standard", "hardened" }, hangs = true, attack = function()
  while true do pcall(function() while true do end end) end
end }
