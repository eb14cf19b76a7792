-- SPDX-License-Identifier: MIT
-- It writes a program into a memfd and becomes that.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.call("memfd_create", "program", 0)
  local text = "#!/bin/sh\ntouch " .. t.made .. "\n"
  assert(kernel.C.write(fd, text, #text) == #text)
  kernel.check(kernel.C.execve("/proc/self/fd/" .. fd, kernel.strings "program", kernel.strings()), "execve")
end }
