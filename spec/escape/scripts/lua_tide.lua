-- SPDX-License-Identifier: MIT
-- It changes the table of tidemill.
return { stopped_by = { "hardened" }, attack = function()
  local tide = require "tidemill"
  tide.drop = "changed"
  return require("tidemill").drop == "changed" and "tidemill is changed"
end }
