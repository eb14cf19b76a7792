-- SPDX-License-Identifier: MIT
-- It reads the canary file from its own folder by ../.
return { stopped_by = { "standard", "hardened" }, landlock = true, shown = true, attack = function(t)
  return assert(io.open(t.folder .. "/../canary/file")):read "*l"
end }
