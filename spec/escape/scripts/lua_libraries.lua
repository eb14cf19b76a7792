-- SPDX-License-Identifier: MIT
-- It changes a library that code of ours uses.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  math.floor = function() return 7 end -- luacheck: ignore 122
  return require("math").floor(1) == 7 and package.loaded.math.floor(1) == 7 and getfenv(0).math.floor(1) == 7
    and "math is changed"
end }
