-- SPDX-License-Identifier: MIT
-- It lets everybody write the canary file.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.chmod(t.canary, 511), "chmod")
  return "everybody may write the canary file"
end }
