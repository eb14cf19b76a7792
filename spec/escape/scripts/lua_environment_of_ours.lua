-- SPDX-License-Identifier: MIT
-- It takes the globals of a function of ours, where all libraries are.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return getfenv(require("tidemill").many).io.open and "it has our globals"
end }
