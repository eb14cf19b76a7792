-- SPDX-License-Identifier: MIT
-- It opens the canary file as a place (O_PATH), and that by /proc/self/fd.
return { stopped_by = { "standard", "hardened" }, landlock = true, shown = true, attack = function(t)
  local kernel = require "kernel"
  local place = kernel.check(kernel.C.open(t.canary, 0x200000), "open")
  return kernel.text_of(kernel.check(kernel.C.open("/proc/self/fd/" .. place, 0), "open"))
end }
