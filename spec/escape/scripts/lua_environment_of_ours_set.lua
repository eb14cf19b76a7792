-- SPDX-License-Identifier: MIT
-- It gives a function of ours other globals.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  setfenv(require("tidemill").many, {})
  return "a function of ours has other globals"
end }
