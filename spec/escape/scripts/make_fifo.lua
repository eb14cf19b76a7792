-- SPDX-License-Identifier: MIT
-- It makes a named pipe beside the canary.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.mkfifo(t.made, 511), "mkfifo")
  return "there is a named pipe"
end }
