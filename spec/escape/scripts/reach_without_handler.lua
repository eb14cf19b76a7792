-- SPDX-License-Identifier: MIT
-- It takes away the handler of SIGSYS before it connects.
return { stopped_by = { "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.C.signal(31, nil)
  local fd = kernel.check(kernel.C.socket(2, 1, 0), "socket")
  kernel.check(kernel.C.connect(fd, kernel.inet(t.port)), "connect")
  return "it is connected"
end }
