-- SPDX-License-Identifier: MIT
-- It writes over the canary file.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  assert(io.open(t.canary, "w")):close()
  return "the canary file was emptied"
end }
