-- SPDX-License-Identifier: MIT
-- It becomes another program by execveat().
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.call("execveat", -100, "/bin/touch", kernel.strings("touch", t.made), kernel.strings(), 0)
end }
