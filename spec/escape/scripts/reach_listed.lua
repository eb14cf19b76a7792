-- SPDX-License-Identifier: MIT
-- It connects to the host of the list, and sends it a datagram, as it may.
return { stopped_by = {}, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.send(kernel.listed_udp(t), "x", 1, 0), "send")
  local fd = kernel.check(kernel.C.socket(2, 1, 0), "socket")
  kernel.check(kernel.C.connect(fd, kernel.inet(t.listed)), "connect")
  kernel.check(kernel.C.send(fd, "x", 1, 0), "send")
  return "it is connected"
end }
