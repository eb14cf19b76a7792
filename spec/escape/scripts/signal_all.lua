-- SPDX-License-Identifier: MIT
-- It asks whether it may signal every process there is; signal 0 does nothing.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.kill(-1, 0), "kill")
  return "it may signal all processes"
end }
