-- SPDX-License-Identifier: MIT
-- It truncates a file that it may read by truncate(), as it lies in its own folder.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.truncate(t.folder .. "/readable", 0), "truncate")
  return "a file was emptied"
end }
