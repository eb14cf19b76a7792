-- SPDX-License-Identifier: MIT
-- It traces a worker of another step.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  kernel.call("ptrace", 0x4206, t.sibling, 0, 0)
  return "it traces a sibling"
end }
