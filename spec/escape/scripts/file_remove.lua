-- SPDX-License-Identifier: MIT
-- It removes the canary file.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  assert(os.remove(t.canary))
  return "the canary file is gone"
end }
