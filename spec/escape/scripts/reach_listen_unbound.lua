-- SPDX-License-Identifier: MIT
-- It listens at a port that the kernel chooses, without bind().
return { stopped_by = { "list" }, shown = true, attack = function()
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.socket(2, 1, 0), "socket")
  kernel.check(kernel.C.listen(fd, 1), "listen")
  return "it listens"
end }
