-- SPDX-License-Identifier: MIT
-- It asks for a string of two gigabytes.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  return #("x"):rep(2 ^ 31 - 100)
end }
