-- SPDX-License-Identifier: MIT
-- It writes a library into a memfd and loads it.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local bytes = assert(io.open(t.folder .. "/library.so", "rb")):read "*a"
  local fd = kernel.call("memfd_create", "library", 0)
  assert(kernel.C.write(fd, bytes, #bytes) == #bytes)
  assert(package.loadlib("/proc/self/fd/" .. fd, "*"))
  return "a library was written and loaded"
end }
