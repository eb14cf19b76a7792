-- SPDX-License-Identifier: MIT
-- It puts the null device in the place of its socket.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local null = kernel.check(kernel.C.open("/dev/null", 2), "open")
  kernel.C.dup2(null, kernel.mailbox())
end }
