-- SPDX-License-Identifier: MIT
-- It makes a child by a few bytes of machine code that call the kernel as 32-bit programs do.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local child = kernel.run_code "\184\2\0\0\0\205\128\195" -- mov eax, 2 (fork); int 0x80; ret
  if child == 0 then kernel.stay() end
  return child > 0 and "a child stays"
end }
