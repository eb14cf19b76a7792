-- SPDX-License-Identifier: MIT
-- It raises its limit of memory.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.setrlimit(2, kernel.ffi.new("struct kernel_limit", -1, -1)), "setrlimit")
  return "it may have all memory"
end }
