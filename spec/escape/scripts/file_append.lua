-- SPDX-License-Identifier: MIT
-- It appends to the canary file.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local file = assert(io.open(t.canary, "a"))
  file:write "x"
  file:close()
  return "the canary file was written"
end }
