-- SPDX-License-Identifier: MIT
-- It makes its input block writable.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.mprotect(kernel.input(), 4096, 3), "mprotect")
  return "the input block can be written"
end }
