-- SPDX-License-Identifier: MIT
-- It takes the globals of the functions that have called it.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  for level = 0, 20 do
    local ok, globals = pcall(getfenv, level)
    if ok and rawget(globals, "io") then return "it has the globals of level " .. level end
  end
end }
