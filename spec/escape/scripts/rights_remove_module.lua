-- SPDX-License-Identifier: MIT
-- It removes a kernel module that there is not.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("delete_module", t.token, 0)
end }
