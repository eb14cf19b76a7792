-- SPDX-License-Identifier: MIT
-- It types into that terminal with a bit set that the kernel ignores and a filter might compare.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  local result = kernel.C.ioctl(2, 0x100005412ULL, kernel.ffi.new("char[1]", 120))
  return kernel.passed(result, "TIOCSTI")
end }
