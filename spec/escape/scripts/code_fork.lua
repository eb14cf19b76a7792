-- SPDX-License-Identifier: MIT
-- It makes a child by a few bytes of machine code.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local child = kernel.run_code "\184\57\0\0\0\15\5\195" -- mov eax, 57 (fork); syscall; ret
  if child == 0 then kernel.stay() end
  return child > 0 and "a child stays"
end }
