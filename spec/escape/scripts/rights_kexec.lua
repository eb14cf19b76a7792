-- SPDX-License-Identifier: MIT
-- It loads another kernel, of flags that there are not.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("kexec_load", 0, 0, nil, 0xffff)
end }
