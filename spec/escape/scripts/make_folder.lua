-- SPDX-License-Identifier: MIT
-- It makes a folder beside the canary.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.mkdir(t.made, 511), "mkdir")
  return "there is another folder"
end }
