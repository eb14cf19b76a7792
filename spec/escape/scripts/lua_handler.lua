-- SPDX-License-Identifier: MIT
-- It takes an upvalue of whoever called it, in an error handler.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  local found
  xpcall(error, function()
    for level = 1, 30 do
      local info = debug.getinfo(level, "f")
      found = found or info and debug.getupvalue(info.func, 1)
    end
  end)
  return found
end }
