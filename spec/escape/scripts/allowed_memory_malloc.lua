-- SPDX-License-Identifier: MIT
-- It asks the C library for memory, and uses what it gets.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  while true do kernel.C.memset(kernel.C.malloc(1e6), 1, 1e6) end
end }
