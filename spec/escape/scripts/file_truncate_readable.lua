-- SPDX-License-Identifier: MIT
-- It truncates a file that it may read (O_TRUNC), as it lies in its own folder.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.open(t.folder .. "/readable", 512), "open")
  return "a file was emptied"
end }
