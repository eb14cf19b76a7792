-- SPDX-License-Identifier: MIT
-- It raises a table that holds itself.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local problem = {}
  problem.problem = problem
  error(problem)
end }
