-- SPDX-License-Identifier: MIT
-- It puts a socket that nobody hears in the place of its own, so that its report never arrives.
return { stopped_by = { "full", "standard", "hardened" }, hangs = true, attack = function()
  local kernel = require "kernel"
  local fds = kernel.ffi.new "int[2]"
  kernel.check(kernel.C.socketpair(1, 5, 0, fds), "socketpair")
  kernel.C.dup2(fds[0], kernel.mailbox())
end }
