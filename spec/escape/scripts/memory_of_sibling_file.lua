-- SPDX-License-Identifier: MIT
-- It opens another worker's memory as a file, to write.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  assert(io.open(("/proc/%d/mem"):format(t.sibling), "r+"))
  return "a sibling's memory is open"
end }
