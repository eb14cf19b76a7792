-- SPDX-License-Identifier: MIT
-- It changes the metatable of the table of tidemill, and by that what is in the table.
return { stopped_by = { "hardened" }, attack = function()
  getmetatable(require "tidemill").__index = { drop = "changed" }
  rawset(require "tidemill", "drop", nil)
end }
