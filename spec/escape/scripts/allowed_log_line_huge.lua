-- SPDX-License-Identifier: MIT
-- It writes one line of ten megabytes to the log.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  require("tidemill").log.error(("x"):rep(1e7))
end }
