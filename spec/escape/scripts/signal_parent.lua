-- SPDX-License-Identifier: MIT
-- It kills whatever its parent is.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.kill(kernel.C.getppid(), 9), "kill")
  return "the parent was killed"
end }
