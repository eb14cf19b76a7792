-- SPDX-License-Identifier: MIT
-- It becomes another program by execve().
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.execve("/bin/touch", kernel.strings("touch", t.made), kernel.strings()), "execve")
end }
