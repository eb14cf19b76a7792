-- SPDX-License-Identifier: MIT
-- It counts events of the processor (perf_event_open).
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("perf_event_open", nil, 0, -1, -1, 0)
end }
