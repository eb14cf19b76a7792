-- SPDX-License-Identifier: MIT
-- It sends the engine as many datagrams as the socket takes, for a while.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local bytes = ("x"):rep(4096)
  for _ = 1, 20000 do kernel.C.sendto(kernel.mailbox(), bytes, #bytes, 0x40, nil, 0) end
end }
