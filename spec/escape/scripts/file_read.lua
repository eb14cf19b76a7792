-- SPDX-License-Identifier: MIT
-- It reads the canary file.
return { stopped_by = { "standard", "hardened" }, landlock = true, shown = true, attack = function(t)
  return assert(io.open(t.canary)):read "*l"
end }
