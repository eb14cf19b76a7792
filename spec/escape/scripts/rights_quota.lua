-- SPDX-License-Identifier: MIT
-- It changes disk quotas, of a kind that there is not.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("quotactl", 0x7fffffff, nil, 0, nil)
end }
