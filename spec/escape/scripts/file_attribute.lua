-- SPDX-License-Identifier: MIT
-- It writes an extended attribute of the canary file.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("setxattr", t.canary, "user.escape", "x", 1, 0)
end }
