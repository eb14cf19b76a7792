-- SPDX-License-Identifier: MIT
-- It makes itself the owner of the canary file, which it is: only the time of the change shows that.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.lchown(t.canary, kernel.C.getuid(), -1), "lchown")
  return "the canary file has another owner"
end }
