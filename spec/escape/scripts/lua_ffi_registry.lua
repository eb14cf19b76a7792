-- SPDX-License-Identifier: MIT
-- It takes ffi from Lua's registry.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return debug.getregistry()._LOADED.ffi.os
end }
