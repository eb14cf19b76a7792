-- SPDX-License-Identifier: MIT
-- It sets the times of the canary file.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.utimensat(-100, t.canary, kernel.ffi.new("long[4]", 1, 0, 1, 0), 0), "utimensat")
  return "the canary file is old"
end }
