-- SPDX-License-Identifier: MIT
-- It closes all its descriptors.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  for fd = 0, 255 do kernel.C.close(fd) end
end }
