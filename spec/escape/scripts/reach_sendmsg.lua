-- SPDX-License-Identifier: MIT
-- It sends a datagram to an address that lies in memory.
return { stopped_by = { "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local message, kept = kernel.message("x", kernel.inet(t.port))
  kernel.check(kernel.C.sendmsg(kernel.C.socket(2, 2, 0), message, 0), "sendmsg")
  return kept and "a datagram was sent"
end }
