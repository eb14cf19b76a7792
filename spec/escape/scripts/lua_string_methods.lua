-- SPDX-License-Identifier: MIT
-- It changes the methods of strings by way of their metatable.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  rawset(getmetatable("").__index, "reverse", function() return "changed" end)
end }
