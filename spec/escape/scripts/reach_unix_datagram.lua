-- SPDX-License-Identifier: MIT
-- It makes a UNIX socket for datagrams, and a pair of sockets.
return { stopped_by = { "list" }, shown = true, attack = function()
  local kernel = require "kernel"
  local pair = kernel.ffi.new "int[2]"
  local made = kernel.C.socket(1, 2, 0) >= 0 or kernel.C.socket(1, 5, 0) >= 0 or kernel.C.socketpair(1, 1, 0, pair) == 0
  return made and "it has a socket"
end }
