-- SPDX-License-Identifier: MIT
-- It makes a unix socket beside the canary.
return { stopped_by = { "standard", "hardened", "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.socket(1, 2, 0), "socket")
  kernel.check(kernel.C.bind(fd, kernel.unix(t.made)), "bind")
  return "it has a socket with a path"
end }
