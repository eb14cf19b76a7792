-- SPDX-License-Identifier: MIT
-- It has the engine scheduled otherwise by sched_setattr().
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.call("sched_setattr", t.engine, kernel.ffi.new("uint32_t[12]", 48, 3), 0)
  return "the engine is scheduled otherwise"
end }
