-- SPDX-License-Identifier: MIT
-- It types into the terminal that standard error may be (TIOCSTI); that it is none here, the kernel is not to be
-- asked.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  local result = kernel.C.ioctl(2, 0x5412, kernel.ffi.new("char[1]", 120))
  return kernel.passed(result, "TIOCSTI")
end }
