-- SPDX-License-Identifier: MIT
-- It exchanges the canary file with one of its own folder.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.call("renameat2", -100, t.canary, -100, t.folder .. "/readable", 2)
  return "the canary file is another"
end }
