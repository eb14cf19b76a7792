-- SPDX-License-Identifier: MIT
-- It returns a result of 30 megabytes.
return { stopped_by = { "full", "standard", "hardened" }, result = true, attack = function()
  return ("x"):rep(3e7)
end }
