-- SPDX-License-Identifier: MIT
-- It opens the canary file to read, and has it truncated by that (O_TRUNC).
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.open(t.canary, 512), "open")
  return "the canary file was emptied"
end }
