-- SPDX-License-Identifier: MIT
-- It reads a limit of another worker.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local found = kernel.ffi.new "struct kernel_limit"
  kernel.check(kernel.C.prlimit(t.sibling, 7, nil, found), "prlimit")
  return "a sibling's limit is known"
end }
