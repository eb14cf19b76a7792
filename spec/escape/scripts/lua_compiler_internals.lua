-- SPDX-License-Identifier: MIT
-- It looks at the constants of a function of ours.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return tostring(require("jit.util").funcinfo(require("tidemill").many).source)
end }
