-- SPDX-License-Identifier: MIT
-- It makes a symbolic link to the canary file in its own folder, and reads that.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.symlink(t.canary, t.folder .. "/link"), "symlink")
  return assert(io.open(t.folder .. "/link")):read "*l"
end }
