-- SPDX-License-Identifier: MIT
-- It enters a namespace by a descriptor that is none.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  return kernel.reached("setns", -1, 0)
end }
