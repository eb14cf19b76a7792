-- SPDX-License-Identifier: MIT
-- It advises the kernel on the memory of another process (process_madvise), by a descriptor that is none.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("process_madvise", -1, 0, 0, 21, 0)
end }
