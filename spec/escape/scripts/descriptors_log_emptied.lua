-- SPDX-License-Identifier: MIT
-- It empties the log, where standard error is a file.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.ftruncate(2, 0), "ftruncate")
  return "the log was emptied"
end }
