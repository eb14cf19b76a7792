-- SPDX-License-Identifier: MIT
-- It has the engine scheduled otherwise (SCHED_BATCH).
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.sched_setscheduler(t.engine, 3, kernel.ffi.new "int[1]"), "sched_setscheduler")
  return "the engine is scheduled otherwise"
end }
