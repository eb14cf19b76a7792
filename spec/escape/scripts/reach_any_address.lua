-- SPDX-License-Identifier: MIT
-- It connects to the address that stands for this machine, whatever its name.
return { stopped_by = { "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.socket(2, 1, 0), "socket")
  local address, size = kernel.inet(t.port, 0)
  address[4] = 0
  kernel.check(kernel.C.connect(fd, address, size), "connect")
  return "it is connected"
end }
