-- SPDX-License-Identifier: MIT
-- It requires ffi.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return require "ffi".os
end }
