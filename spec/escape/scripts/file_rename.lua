-- SPDX-License-Identifier: MIT
-- It renames the canary file.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  assert(os.rename(t.canary, t.canary .. ".old"))
  return "the canary file has another name"
end }
