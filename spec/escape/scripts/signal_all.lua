-- SPDX-License-Identifier: MIT
-- It asks of every process whether it may signal it; signal 0 does nothing.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  for pid = 1, 100000 do
    if pid ~= kernel.C.getpid() and kernel.C.kill(pid, 0) == 0 then return "it may signal process " .. pid end
  end
end }
