-- SPDX-License-Identifier: MIT
-- It leaves a thread behind that sleeps.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local thread = kernel.ffi.new "unsigned long[1]"
  local function of(fn, argument) return kernel.ffi.cast("void *", fn), kernel.ffi.cast("void *", argument) end
  assert(kernel.C.pthread_create(thread, nil, of(kernel.C.sleep, 1000)) == 0)
end }
