-- SPDX-License-Identifier: MIT
-- It stops swapping to a file that there is not.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("swapoff", t.folder .. "/none")
end }
