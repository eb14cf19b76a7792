-- SPDX-License-Identifier: MIT
-- It connects a datagram socket of IPv6 to an address of IPv4.
return { stopped_by = { "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.C.socket(10, 2, 0)
  if fd < 0 and kernel.ffi.errno() == 97 then fd = kernel.C.socket(2, 2, 0) end -- a machine without IPv6
  kernel.check(fd, "socket")
  kernel.check(kernel.C.connect(fd, kernel.inet(t.port)), "connect")
  kernel.check(kernel.C.send(fd, "x", 1, 0), "send")
  return "a datagram was sent"
end }
