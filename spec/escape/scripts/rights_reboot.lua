-- SPDX-License-Identifier: MIT
-- It calls reboot() with numbers that are none of its own.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("reboot", 0, 0, 0, nil)
end }
