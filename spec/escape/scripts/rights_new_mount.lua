-- SPDX-License-Identifier: MIT
-- It makes a file system to mount (fsopen).
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("fsopen", "tmpfs", 0)
end }
