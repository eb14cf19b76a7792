-- SPDX-License-Identifier: MIT
-- It reads the engine's memory by process_vm_readv(), at an address where nothing is.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  local local_part, remote = kernel.ffi.new("uint64_t[2]", 0, 8), kernel.ffi.new("uint64_t[2]", 16, 8)
  return kernel.reached("process_vm_readv", t.engine, local_part, 1, remote, 1, 0)
end }
