-- SPDX-License-Identifier: MIT
-- It looks for a global that a sandbox has no reason to give.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  for _, name in ipairs { "debug", "jit", "io", "ffi", "newproxy", "setfenv", "getfenv", "module" } do
    if rawget(_G, name) or _G[name] then return name end
  end
end }
