-- SPDX-License-Identifier: MIT
-- It adjusts the clock, by nothing.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  return kernel.reached("adjtimex", kernel.ffi.new "char[512]")
end }
