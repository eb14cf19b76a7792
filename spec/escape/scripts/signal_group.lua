-- SPDX-License-Identifier: MIT
-- It kills its process group.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.kill(0, 9), "kill")
  return "the group was killed"
end }
