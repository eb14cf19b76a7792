-- SPDX-License-Identifier: MIT
-- It has later programs loaded at known addresses (personality).
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  return kernel.reached("personality", 0x0040000)
end }
