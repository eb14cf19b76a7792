-- SPDX-License-Identifier: MIT
-- It writes into its input block through /proc/self/mem, which does not look at the rights of pages.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.open("/proc/self/mem", 2), "open")
  local at = kernel.ffi.cast("long", kernel.found("job").record)
  kernel.check(kernel.C.pwrite(fd, "x", 1, at), "pwrite")
  return "the input block was written"
end }
