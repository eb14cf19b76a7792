-- SPDX-License-Identifier: MIT
-- It watches who uses any file (fanotify_init).
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("fanotify_init", 0, 0)
end }
