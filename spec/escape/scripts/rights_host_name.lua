-- SPDX-License-Identifier: MIT
-- It gives the machine a name of negative length.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("sethostname", nil, -1)
end }
