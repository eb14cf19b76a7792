-- SPDX-License-Identifier: MIT
-- It has Lua make a temporary file.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local name = os.tmpname()
  os.remove(name)
  return name
end }
