-- SPDX-License-Identifier: MIT
-- It loads a kernel module of no bytes.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("init_module", nil, 0, nil)
end }
