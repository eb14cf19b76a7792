-- SPDX-License-Identifier: MIT
-- It has the canary file compiled: the error names a word of it.
return { stopped_by = { "standard", "hardened" }, landlock = true, shown = true, attack = function(t)
  local _, problem = loadfile(t.canary)
  return problem and problem:match "near '([^']+)'"
end }
