-- SPDX-License-Identifier: MIT
-- It becomes another user, which makes the kernel forget that it is to die with the zygote.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local other = kernel.C.getuid() == 0 and 65534 or 0
  kernel.check(kernel.C.setresuid(other, other, other), "setresuid")
  return "it is another user"
end }
