-- SPDX-License-Identifier: MIT
-- It makes its process group nicer, in which the engine is.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.setpriority(1, 0, 1), "setpriority")
  return "the group is nicer"
end }
