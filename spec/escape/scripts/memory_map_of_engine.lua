-- SPDX-License-Identifier: MIT
-- It reads where the engine has mapped what.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  return assert(io.open(("/proc/%d/maps"):format(t.engine))):read "*l"
end }
