-- SPDX-License-Identifier: MIT
-- It opens the engine's memory as a file, to write.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  assert(io.open(("/proc/%d/mem"):format(t.engine), "r+"))
  return "the engine's memory is open"
end }
