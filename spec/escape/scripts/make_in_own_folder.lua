-- SPDX-License-Identifier: MIT
-- It makes a file in its own folder, where a later run would load it.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  assert(io.open(t.folder .. "/made.lua", "w")):close()
  return "there is another file"
end }
