-- SPDX-License-Identifier: MIT
-- It wants to be scheduled before all others (SCHED_FIFO).
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.sched_setscheduler(0, 1, kernel.ffi.new("int[1]", 1)), "sched_setscheduler")
  return "it is scheduled first"
end }
