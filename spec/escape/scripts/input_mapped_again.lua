-- SPDX-License-Identifier: MIT
-- It maps its input block a second time and makes that writable.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local copy = kernel.check(kernel.C.mremap(kernel.input(), 0, 4096, 1), "mremap")
  kernel.check(kernel.C.mprotect(copy, 4096, 3), "mprotect")
  return "the input block can be written"
end }
