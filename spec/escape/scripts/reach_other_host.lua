-- SPDX-License-Identifier: MIT
-- It connects to the port of the listed host, at another address.
return { stopped_by = { "list" }, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.socket(2, 1, 0), "socket")
  kernel.check(kernel.C.connect(fd, kernel.inet(t.listed or t.port, 2)), "connect")
  return "it is connected"
end }
