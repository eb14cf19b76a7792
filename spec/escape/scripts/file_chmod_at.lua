-- SPDX-License-Identifier: MIT
-- It lets everybody write the canary file, by fchmodat2().
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  kernel.call("fchmodat2", -100, t.canary, 511, 0)
  return "everybody may write the canary file"
end }
