-- SPDX-License-Identifier: MIT
-- It opens the zygote's memory as a file, to read.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  assert(io.open(("/proc/%d/mem"):format(t.zygote), "r"))
  return "the zygote's memory is open"
end }
