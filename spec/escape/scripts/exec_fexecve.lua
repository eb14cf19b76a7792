-- SPDX-License-Identifier: MIT
-- It becomes another program by fexecve(), from an open descriptor.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.open("/bin/touch", 0), "open")
  kernel.check(kernel.C.fexecve(fd, kernel.strings("touch", t.made), kernel.strings()), "fexecve")
end }
