-- SPDX-License-Identifier: MIT
-- It listens for connections.
return { stopped_by = { "standard", "hardened", "list" }, shown = true, attack = function()
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.socket(2, 1, 0), "socket")
  kernel.check(kernel.C.bind(fd, kernel.inet(0)), "bind")
  kernel.check(kernel.C.listen(fd, 1), "listen")
  return "it listens"
end }
