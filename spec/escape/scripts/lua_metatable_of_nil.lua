-- SPDX-License-Identifier: MIT
-- It gives nil a metatable, so that mistakes of others go unseen.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  debug.setmetatable(nil, { __index = function() return "x" end })
end }
