-- SPDX-License-Identifier: MIT
-- It has the kernel write a byte into each page around its output block, where there is one: where other workers'
-- blocks would be.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local fds = kernel.ffi.new "int[2]"
  kernel.check(kernel.C.pipe(fds), "pipe")
  local output = kernel.ffi.cast("char *", kernel.found("job").output)
  for page = -16384, 16384 do
    kernel.C.write(fds[1], "\255", 1)
    if kernel.C.read(fds[0], output + page * 4096, 1) < 0 then kernel.C.read(fds[0], kernel.ffi.new "char[1]", 1) end
  end
  io.stderr:write "spoilt\n"
end }
