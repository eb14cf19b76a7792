-- SPDX-License-Identifier: MIT
-- It takes a port for datagrams that come from anywhere.
return { stopped_by = { "list" }, shown = true, attack = function()
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.socket(2, 2, 0), "socket")
  kernel.check(kernel.C.bind(fd, kernel.inet(0)), "bind")
  return "it has a port"
end }
