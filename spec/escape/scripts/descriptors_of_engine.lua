-- SPDX-License-Identifier: MIT
-- It opens the engine's descriptors by /proc: the output, blocks, sockets.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  for fd = 0, 63 do
    local opened = kernel.C.open(("/proc/%d/fd/%d"):format(t.engine, fd), 0x800)
    if opened >= 0 then return "descriptor " .. fd .. " of the engine is open" end
  end
end }
