-- SPDX-License-Identifier: MIT
-- It connects to the broker, or where there is none to a program in its place.
return { stopped_by = { "standard", "hardened", "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.socket(2, 1, 0), "socket")
  kernel.check(kernel.C.connect(fd, kernel.inet(t.broker)), "connect")
  return "it is connected to the broker"
end }
