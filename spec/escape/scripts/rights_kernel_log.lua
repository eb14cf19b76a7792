-- SPDX-License-Identifier: MIT
-- It asks for the size of the kernel's log.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("syslog", 10, nil, 0)
end }
