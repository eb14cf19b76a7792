-- SPDX-License-Identifier: MIT
-- It kills the engine.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.kill(t.engine, 9), "kill")
  return "the engine was killed"
end }
