-- SPDX-License-Identifier: MIT
-- It sends several datagrams at once, to addresses that lie in memory.
return { stopped_by = { "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local message, kept = kernel.message("x", kernel.inet(t.port))
  local messages = kernel.ffi.new("struct kernel_messages[2]", { { message }, { message } })
  kernel.check(kernel.C.sendmmsg(kernel.C.socket(2, 2, 0), messages, 2, 0), "sendmmsg")
  return kept and "datagrams were sent"
end }
