-- SPDX-License-Identifier: MIT
-- It traces the zygote.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  kernel.call("ptrace", 0x4206, t.zygote, 0, 0) -- PTRACE_SEIZE
  return "it traces the zygote"
end }
