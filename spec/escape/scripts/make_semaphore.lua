-- SPDX-License-Identifier: MIT
-- It makes a System V semaphore, which outlives all processes.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  local id = kernel.check(kernel.C.semget(0, 1, 512 + 384), "semget")
  kernel.C.semctl(id, 0, 0)
  return "there was a semaphore"
end }
