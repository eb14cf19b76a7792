-- SPDX-License-Identifier: MIT
-- It changes what messages are by their metatable.
return { stopped_by = { "hardened" }, attack = function(t)
  local meta = assert(getmetatable(t.message))
  assert(type(meta) == "table", "no table")
  meta.__index = function() return "changed" end
  return t.message.value == "changed" and "messages are changed"
end }
