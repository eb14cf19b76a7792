-- SPDX-License-Identifier: MIT
-- It makes a hard link to the canary file in its own folder, and reads that.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.link(t.canary, t.folder .. "/hard"), "link")
  return assert(io.open(t.folder .. "/hard")):read "*l"
end }
