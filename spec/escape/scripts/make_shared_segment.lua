-- SPDX-License-Identifier: MIT
-- It makes a segment of System V shared memory, which outlives all processes.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  local id = kernel.check(kernel.C.shmget(0, 4096, 512 + 384), "shmget")
  kernel.C.shmctl(id, 0, nil)
  return "there was a segment of shared memory"
end }
