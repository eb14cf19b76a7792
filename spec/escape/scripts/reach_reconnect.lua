-- SPDX-License-Identifier: MIT
-- It connects a datagram socket once more, to another address.
return { stopped_by = { "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.listed_udp(t)
  kernel.check(kernel.C.connect(fd, kernel.inet(t.port)), "connect")
  return "it is connected"
end }
