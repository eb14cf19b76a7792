-- SPDX-License-Identifier: MIT
-- It writes where nothing is.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.ffi.cast("int *", 0)[0] = 1
end }
