-- SPDX-License-Identifier: MIT
-- It opens a setting of the kernel to write it.
return { stopped_by = { "standard", "hardened" }, attack = function()
  assert(io.open("/proc/sys/kernel/core_pattern", "r+"))
  return "it may set core_pattern"
end }
