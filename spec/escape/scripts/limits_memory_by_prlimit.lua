-- SPDX-License-Identifier: MIT
-- It raises its limit of memory by prlimit().
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local all = kernel.ffi.new("struct kernel_limit", -1, -1)
  kernel.check(kernel.C.prlimit(kernel.C.getpid(), 2, all, nil), "prlimit")
  return "it may have all memory"
end }
