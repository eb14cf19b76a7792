-- SPDX-License-Identifier: MIT
-- It makes a netlink socket, to speak with the kernel.
return { stopped_by = { "standard", "hardened", "list" }, shown = true, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.socket(16, 3, 0), "socket")
  return "it has a socket"
end }
