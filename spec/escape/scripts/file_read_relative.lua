-- SPDX-License-Identifier: MIT
-- It makes the canary's folder its own and reads the file by its name.
return { stopped_by = { "standard", "hardened" }, landlock = true, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.chdir((t.canary:gsub("/[^/]+$", ""))), "chdir")
  return assert(io.open "file"):read "*l"
end }
