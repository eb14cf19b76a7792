-- SPDX-License-Identifier: MIT
-- It makes threads until there are no more to be had.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local thread = kernel.ffi.new "unsigned long[1]"
  local start = kernel.ffi.cast("void *", kernel.C.sleep)
  for _ = 1, 300 do kernel.C.pthread_create(thread, nil, start, kernel.ffi.cast("void *", 1000)) end
end }
