-- SPDX-License-Identifier: MIT
-- It asks again and again for the message to be tried again.
return { stopped_by = { "full", "standard", "hardened" }, result = true, attack = function()
  return require("tidemill").retry "for ever"
end }
