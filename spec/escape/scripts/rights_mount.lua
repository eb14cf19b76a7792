-- SPDX-License-Identifier: MIT
-- It mounts a file system on its folder.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("mount", "none", t.folder, "no such type", 0, nil)
end }
