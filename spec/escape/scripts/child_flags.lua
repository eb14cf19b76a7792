-- SPDX-License-Identifier: MIT
-- It asks for a child by clone() with flags that are never valid together, so that none is made.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  return kernel.reached("clone", 0x200 + 0x20000 + 17, 0, 0, 0, 0) -- CLONE_FS, CLONE_NEWNS
end }
