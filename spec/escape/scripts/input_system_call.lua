-- SPDX-License-Identifier: MIT
-- It has the kernel write into its input block: read() from a pipe.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local fds = kernel.ffi.new "int[2]"
  kernel.check(kernel.C.pipe(fds), "pipe")
  kernel.C.write(fds[1], "x", 1)
  kernel.check(kernel.C.read(fds[0], kernel.input(), 1), "read")
  return "the input block was written"
end }
