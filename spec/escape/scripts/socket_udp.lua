-- SPDX-License-Identifier: MIT
-- It sends a datagram to a program on this machine.
return { stopped_by = { "standard", "hardened", "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.socket(2, 2, 0), "socket")
  local address, size = kernel.inet(t.port)
  kernel.check(kernel.C.sendto(fd, "x", 1, 0, address, size), "sendto")
  return "a datagram was sent"
end }
