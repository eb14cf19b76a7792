-- SPDX-License-Identifier: MIT
-- It has the memory of another process released (process_mrelease), by a descriptor that is none.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("process_mrelease", -1, 0)
end }
