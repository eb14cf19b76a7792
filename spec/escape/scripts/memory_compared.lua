-- SPDX-License-Identifier: MIT
-- It asks whether the engine's resources are its own (kcmp), which tells of the kernel's addresses.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("kcmp", t.engine, kernel.C.getpid(), 1, 0, 0)
end }
