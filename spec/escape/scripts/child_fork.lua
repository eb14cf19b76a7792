-- SPDX-License-Identifier: MIT
-- It forks, and the child stays.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  if kernel.check(kernel.C.fork(), "fork") == 0 then kernel.stay() end
  return "a child stays"
end }
