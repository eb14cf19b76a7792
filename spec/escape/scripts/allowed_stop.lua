-- SPDX-License-Identifier: MIT
-- It stops itself (SIGSTOP).
return { stopped_by = { "full", "standard", "hardened" }, hangs = true, attack = function()
  local kernel = require "kernel"
  kernel.C.kill(kernel.C.getpid(), 19)
end }
