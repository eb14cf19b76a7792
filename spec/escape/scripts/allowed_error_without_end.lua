-- SPDX-License-Identifier: MIT
-- It raises an error whose text takes for ever.
return { stopped_by = { "full", "standard", "hardened" }, hangs = true, attack = function()
  error(setmetatable({}, { __tostring = function() while true do end end }))
end }
