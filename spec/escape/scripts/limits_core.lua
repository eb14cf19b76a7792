-- SPDX-License-Identifier: MIT
-- It wants a core file, with what is in its memory.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.C.prctl(4, kernel.ffi.cast("long", 1)) -- PR_SET_DUMPABLE
  kernel.check(kernel.C.setrlimit(4, kernel.ffi.new("struct kernel_limit", -1, -1)), "setrlimit")
  return "it may leave a core file"
end }
