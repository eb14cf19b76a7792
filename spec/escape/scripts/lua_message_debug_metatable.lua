-- SPDX-License-Identifier: MIT
-- It takes the metatable of messages by debug.
return { stopped_by = { "hardened" }, attack = function(t)
  return tostring(debug.getmetatable(t.message).__index)
end }
