-- SPDX-License-Identifier: MIT
-- It changes the table of tidemill past its metatable.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  rawset(require "tidemill", "drop", "changed")
end }
