-- SPDX-License-Identifier: MIT
-- It has a regular expression go back without end.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  return require("tidemill").regex.test(("a"):rep(60), "^(a+)+$x") and "it matches"
end }
