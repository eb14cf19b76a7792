-- SPDX-License-Identifier: MIT
-- It takes ffi from the table of modules that may be loaded.
return { stopped_by = { "hardened" }, attack = function()
  return package.preload.ffi().os
end }
