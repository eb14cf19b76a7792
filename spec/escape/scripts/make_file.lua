-- SPDX-License-Identifier: MIT
-- It makes a file beside the canary.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  assert(io.open(t.made, "w")):close()
  return "there is another file"
end }
