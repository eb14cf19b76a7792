-- SPDX-License-Identifier: MIT
-- It reads the canary file by /proc/self/root.
return { stopped_by = { "standard", "hardened" }, landlock = true, shown = true, attack = function(t)
  return assert(io.open("/proc/self/root" .. t.canary)):read "*l"
end }
