-- SPDX-License-Identifier: MIT
-- It sends the engine a datagram as large as the socket takes.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local bytes = ("x"):rep(150000)
  kernel.C.sendto(kernel.mailbox(), bytes, #bytes, 0x40, nil, 0)
end }
