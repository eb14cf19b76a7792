-- SPDX-License-Identifier: MIT
-- It makes a socket whose family has bits that the kernel ignores.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  kernel.ffi.cdef 'int kernel_socket(uint64_t family, uint64_t kind, uint64_t protocol) __asm__("socket");'
  local fd = kernel.C.kernel_socket(0x100000002ULL, 0x100000001ULL, 0)
  kernel.check(fd, "socket")
  return "it has a socket"
end }
