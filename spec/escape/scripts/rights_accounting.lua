-- SPDX-License-Identifier: MIT
-- It has the kernel account for processes in a file that there is not.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("acct", t.folder .. "/none")
end }
