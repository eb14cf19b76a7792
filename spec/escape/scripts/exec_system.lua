-- SPDX-License-Identifier: MIT
-- It starts a program by system() of the C library.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  assert(kernel.C.system("touch " .. t.made) == 0, "no program ran")
  return "a program ran"
end }
