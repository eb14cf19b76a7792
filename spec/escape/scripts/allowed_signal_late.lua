-- SPDX-License-Identifier: MIT
-- It has the kernel end it while it sleeps.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.ffi.cdef "unsigned ualarm(unsigned microseconds, unsigned interval);"
  kernel.C.ualarm(1000, 0)
  kernel.C.poll(nil, 0, 200)
end }
