-- SPDX-License-Identifier: MIT
-- It changes the table of tidemill that other files use.
return { stopped_by = { "hardened" }, attack = function()
  require("tidemill").drop = "changed"
end }
