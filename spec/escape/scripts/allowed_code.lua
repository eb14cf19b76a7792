-- SPDX-License-Identifier: MIT
-- It runs machine code that is none.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.run_code "\15\11" -- ud2
end }
