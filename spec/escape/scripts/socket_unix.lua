-- SPDX-License-Identifier: MIT
-- It connects to the socket of a program on this machine, by its path.
return { stopped_by = { "standard", "hardened", "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.socket(1, 1, 0), "socket")
  kernel.check(kernel.C.connect(fd, kernel.unix(t.socket)), "connect")
  return "it is connected"
end }
