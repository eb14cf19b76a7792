-- SPDX-License-Identifier: MIT
-- It changes the metatable of the table of tidemill.
return { stopped_by = { "hardened" }, attack = function()
  getmetatable(require "tidemill").__index = { drop = "changed" }
  return "the metatable of tidemill is changed"
end }
