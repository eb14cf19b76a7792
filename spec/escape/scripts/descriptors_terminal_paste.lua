-- SPDX-License-Identifier: MIT
-- It pastes into the terminal that standard error may be (TIOCLINUX).
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  local result = kernel.C.ioctl(2, 0x541C, kernel.ffi.new("char[1]", 3))
  return kernel.passed(result, "TIOCLINUX")
end }
