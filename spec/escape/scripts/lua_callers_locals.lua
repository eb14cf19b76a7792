-- SPDX-License-Identifier: MIT
-- It reads the variables of the functions that have called it.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  for level = 1, 30 do
    local name, value = debug.getlocal(level, 1)
    if name == "job" or name == "zygote" then return tostring(value) end
  end
  return debug.getlocal(3, 1)
end }
