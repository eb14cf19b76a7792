-- SPDX-License-Identifier: MIT
-- It writes thirty thousand lines to the log and to standard output.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local log = require("tidemill").log
  for i = 1, 15000 do
    log.info("flood %d", i)
    print("flood " .. i)
  end
end }
