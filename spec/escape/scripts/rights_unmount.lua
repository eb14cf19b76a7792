-- SPDX-License-Identifier: MIT
-- It unmounts what is no mount.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("umount2", t.folder, 0)
end }
