-- SPDX-License-Identifier: MIT
-- It ends the worker with the code by which workers say that memory was short.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.C._exit(71)
end }
