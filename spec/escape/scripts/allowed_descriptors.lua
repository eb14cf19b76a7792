-- SPDX-License-Identifier: MIT
-- It opens descriptors until there are no more to be had.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  for _ = 1, 5000 do kernel.C.open("/dev/null", 0) end
end }
