-- SPDX-License-Identifier: MIT
-- It swaps to a file that there is not.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("swapon", t.folder .. "/none", 0)
end }
