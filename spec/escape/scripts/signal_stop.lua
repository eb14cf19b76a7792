-- SPDX-License-Identifier: MIT
-- It stops the zygote where it is.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.kill(t.zygote, 19), "kill")
  return "the zygote was stopped"
end }
