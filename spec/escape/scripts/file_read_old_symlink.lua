-- SPDX-License-Identifier: MIT
-- It reads the canary file by a symbolic link that lies in its folder.
return { stopped_by = { "standard", "hardened" }, landlock = true, shown = true, attack = function(t)
  return assert(io.open(t.folder .. "/old_link")):read "*l"
end }
