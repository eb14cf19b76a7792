-- SPDX-License-Identifier: MIT
-- It gives itself the processor's ports, at a level that there is not.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("iopl", 7)
end }
