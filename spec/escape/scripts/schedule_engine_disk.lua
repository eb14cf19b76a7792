-- SPDX-License-Identifier: MIT
-- It has the engine's reads and writes done last (ioprio_set).
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("ioprio_set", 1, t.engine, 0x6000)
end }
