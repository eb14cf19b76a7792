-- SPDX-License-Identifier: MIT
-- It puts a module of its own in the place of one of ours.
return { stopped_by = { "hardened" }, attack = function()
  package.loaded["tidemill"] = { drop = "changed" }
end }
