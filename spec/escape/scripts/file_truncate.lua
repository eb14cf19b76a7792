-- SPDX-License-Identifier: MIT
-- It truncates the canary file.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.truncate(t.canary, 0), "truncate")
  return "the canary file was emptied"
end }
