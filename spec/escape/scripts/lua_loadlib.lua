-- SPDX-License-Identifier: MIT
-- It takes a function of the C library by package.loadlib.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return tostring(assert(package.loadlib("libc.so.6", "system")))
end }
