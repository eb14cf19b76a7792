-- SPDX-License-Identifier: MIT
-- It sends a datagram to another address, by a socket that is connected.
return { stopped_by = { "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local address, size = kernel.inet(t.port)
  kernel.check(kernel.C.sendto(kernel.listed_udp(t), "x", 1, 0, address, size), "sendto")
  return "a datagram was sent"
end }
