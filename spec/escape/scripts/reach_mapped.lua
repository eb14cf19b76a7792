-- SPDX-License-Identifier: MIT
-- It connects to an address of IPv4 that is written as one of IPv6.
return { stopped_by = { "list" }, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.socket(10, 1, 0), "socket")
  kernel.check(kernel.C.connect(fd, kernel.mapped(t.port)), "connect")
  return "it is connected"
end }
