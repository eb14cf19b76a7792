-- SPDX-License-Identifier: MIT
-- It makes the engine nicer.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.setpriority(0, t.engine, 1), "setpriority")
  return "the engine is nicer"
end }
