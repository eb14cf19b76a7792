-- SPDX-License-Identifier: MIT
-- It makes a System V message queue, which outlives all processes.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  local id = kernel.check(kernel.C.msgget(0, 512 + 384), "msgget")
  kernel.C.msgctl(id, 0, nil)
  return "there was a message queue"
end }
