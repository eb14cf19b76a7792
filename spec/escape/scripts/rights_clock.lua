-- SPDX-License-Identifier: MIT
-- It sets the clock to a time that there is not.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  return kernel.reached("clock_settime", 0, kernel.ffi.new("long[2]", 0, 2000000000))
end }
