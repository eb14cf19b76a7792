-- SPDX-License-Identifier: MIT
-- It sends the engine a datagram without a byte, which looks like the end of the file.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.C.sendto(kernel.mailbox(), "", 0, 0, nil, 0)
  kernel.C.poll(nil, 0, 20)
end }
