-- SPDX-License-Identifier: MIT
-- It gives the kernel a key to keep.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("add_key", "user", t.token, "x", 1, -2)
end }
