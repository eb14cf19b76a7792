-- SPDX-License-Identifier: MIT
-- It kills the zygote.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.kill(t.zygote, 9), "kill")
  return "the zygote was killed"
end }
