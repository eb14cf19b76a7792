-- SPDX-License-Identifier: MIT
-- It has standard error no longer wait, which holds for the engine too.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.fcntl(2, 4, kernel.ffi.cast("long", 0x800)), "fcntl")
end }
