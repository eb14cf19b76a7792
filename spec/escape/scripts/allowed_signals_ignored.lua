-- SPDX-License-Identifier: MIT
-- It ignores all signals and loops.
return { stopped_by = { "full", "standard", "hardened" }, hangs = true, attack = function()
  local kernel = require "kernel"
  for number = 1, 64 do kernel.C.signal(number, kernel.ffi.cast("void *", 1)) end
  while true do end
end }
