-- SPDX-License-Identifier: MIT
-- It starts a program from another thread: system() runs there.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local thread = kernel.ffi.new "unsigned long[1]"
  local command = kernel.ffi.new("char[?]", #t.made + 7, "touch " .. t.made)
  local symbol = kernel.ffi.cast("void *", kernel.C.system)
  assert(kernel.C.pthread_create(thread, nil, symbol, command) == 0, "no thread")
  assert(kernel.C.pthread_join(thread[0], nil) == 0, "no end of the thread") -- with it the program has ended
  return io.open(t.made) and "a thread ran a program"
end }
