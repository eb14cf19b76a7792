-- SPDX-License-Identifier: MIT
-- It kills a worker of another step.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.kill(t.sibling, 9), "kill")
  return "a sibling was killed"
end }
