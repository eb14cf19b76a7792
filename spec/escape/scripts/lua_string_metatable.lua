-- SPDX-License-Identifier: MIT
-- It changes what s:reverse() means in all strings.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  getmetatable("").__index = setmetatable({ reverse = function() return "changed" end }, { __index = string })
end }
