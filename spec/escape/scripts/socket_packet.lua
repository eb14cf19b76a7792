-- SPDX-License-Identifier: MIT
-- It makes a packet socket, to listen to the network.
return { stopped_by = { "standard", "hardened", "list" }, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.socket(17, 3, 0x300), "socket")
  return "it has a socket"
end }
