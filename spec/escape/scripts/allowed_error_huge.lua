-- SPDX-License-Identifier: MIT
-- It raises an error with a text of 20 megabytes.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  error(("x"):rep(2e7), 0)
end }
