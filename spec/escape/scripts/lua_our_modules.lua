-- SPDX-License-Identifier: MIT
-- It requires the module of ours that has the C library.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return tostring(require("tidemill.run.ffi").C)
end }
