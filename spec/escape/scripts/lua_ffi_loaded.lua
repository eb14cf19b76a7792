-- SPDX-License-Identifier: MIT
-- It takes ffi from the table of loaded modules.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return package.loaded.ffi.os
end }
