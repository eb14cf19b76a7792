-- SPDX-License-Identifier: MIT
-- It returns a table that makes up its fields while it is read.
return { stopped_by = { "full", "standard", "hardened" }, result = true, attack = function()
  return setmetatable({}, { __index = function(_, name) return name end, __pairs = function() error "no" end,
    __newindex = error, __len = function() return 1e9 end, 7 }) and { [{}] = function() end }
end }
