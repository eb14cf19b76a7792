-- SPDX-License-Identifier: MIT
-- It has another thread call a Lua function.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local thread = kernel.ffi.new "unsigned long[1]"
  local callback = kernel.ffi.cast("void *(*)(void *)", function() return nil end)
  kernel.C.pthread_create(thread, nil, kernel.ffi.cast("void *", callback), nil)
  kernel.C.poll(nil, 0, 50)
end }
