-- SPDX-License-Identifier: MIT
-- It changes a function of the string library, which all strings may have as a method.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  string.reverse = function() return "changed" end -- luacheck: ignore 122
end }
