-- SPDX-License-Identifier: MIT
-- It looks at the bytecode of a function of ours.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return #string.dump(require("tidemill").many) > 0 and "it has bytecode"
end }
