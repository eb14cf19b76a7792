-- SPDX-License-Identifier: MIT
-- It says on which cores the engine runs: on all of them.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local all = kernel.ffi.new("uint64_t[16]", -1ULL)
  kernel.check(kernel.C.sched_setaffinity(t.engine, 128, all), "sched_setaffinity")
  return "the engine's cores are chosen"
end }
