-- SPDX-License-Identifier: MIT
-- It connects to a program on this machine.
return { stopped_by = { "standard", "hardened", "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.socket(2, 1, 0), "socket")
  kernel.check(kernel.C.connect(fd, kernel.inet(t.port)), "connect")
  return "it is connected"
end }
