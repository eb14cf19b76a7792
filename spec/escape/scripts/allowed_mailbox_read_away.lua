-- SPDX-License-Identifier: MIT
-- It reads away what the engine sends it.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local bytes = kernel.ffi.new "char[4096]"
  kernel.ffi.cdef "long recv(int fd, void *bytes, size_t size, int flags);"
  for _ = 1, 20 do
    kernel.C.recv(kernel.mailbox(), bytes, 4096, 0x40)
    kernel.C.poll(nil, 0, 1)
  end
end }
