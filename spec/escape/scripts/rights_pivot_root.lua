-- SPDX-License-Identifier: MIT
-- It changes the root file system to its folder.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("pivot_root", t.folder, t.folder)
end }
