-- SPDX-License-Identifier: MIT
-- It kills its process group, which is the engine's.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.kill(0, 9), "kill")
  return "the group was killed"
end }
