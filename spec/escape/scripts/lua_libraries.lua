-- SPDX-License-Identifier: MIT
-- It changes a library that other files use.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  math.floor = function() return 7 end -- luacheck: ignore 122
end }
