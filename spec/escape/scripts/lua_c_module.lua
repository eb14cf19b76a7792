-- SPDX-License-Identifier: MIT
-- It requires a module in C.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return tostring(require("cjson").encode)
end }
