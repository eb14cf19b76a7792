-- SPDX-License-Identifier: MIT
-- It has the zygote trace it, and stops: a zygote that takes the stop for its end would have it replaced while it
-- lives.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.call("ptrace", 0, 0, 0, 0)
  kernel.C.kill(kernel.C.getpid(), 19)
  return "the zygote traces it"
end }
