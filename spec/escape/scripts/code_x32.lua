-- SPDX-License-Identifier: MIT
-- It makes a child by a system call of the x32 convention.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local child = tonumber(kernel.C.syscall(0x40000039))
  if child == 0 then kernel.stay() end
  return child > 0 and "a child stays"
end }
