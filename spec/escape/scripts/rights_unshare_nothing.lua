-- SPDX-License-Identifier: MIT
-- It calls unshare() without anything to unshare.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  return kernel.reached("unshare", 0)
end }
