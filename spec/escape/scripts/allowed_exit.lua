-- SPDX-License-Identifier: MIT
-- It ends the worker with a code of its own.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.C._exit(0)
end }
