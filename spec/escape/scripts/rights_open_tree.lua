-- SPDX-License-Identifier: MIT
-- It copies a mount (open_tree).
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("open_tree", -100, t.folder, 1)
end }
