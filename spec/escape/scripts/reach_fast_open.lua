-- SPDX-License-Identifier: MIT
-- It sends the first bytes of a connection with its request (TCP Fast Open), which needs no connect().
return { stopped_by = { "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local address, size = kernel.inet(t.port)
  local fd = kernel.check(kernel.C.socket(2, 1, 0), "socket")
  kernel.check(kernel.C.sendto(fd, "x", 1, 0x20000000, address, size), "sendto")
  return "it is connected"
end }
