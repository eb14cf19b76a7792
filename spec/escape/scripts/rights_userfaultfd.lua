-- SPDX-License-Identifier: MIT
-- It handles page faults itself, by which races in the kernel are won.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("userfaultfd", 1)
end }
