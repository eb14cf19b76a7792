-- SPDX-License-Identifier: MIT
-- It reads the zygote's environment from /proc.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local file = assert(io.open(("/proc/%d/environ"):format(t.zygote)))
  return file:read("*a"):match(t.variable .. "=(%w+)")
end }
