-- SPDX-License-Identifier: MIT
-- It punches a hole into its input block (MADV_REMOVE).
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.madvise(kernel.input(), 4096, 9), "madvise")
  return "the input block has a hole"
end }
