-- SPDX-License-Identifier: MIT
-- It requires the canary file as a module: the error names a word of it.
return { stopped_by = { "standard", "hardened" }, landlock = true, shown = true, attack = function(t)
  package.path = t.canary
  local _, problem = pcall(require, "anything")
  return tostring(problem):match "near '([^']+)'"
end }
