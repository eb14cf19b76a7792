-- SPDX-License-Identifier: MIT
-- It opens by a handle that is none (open_by_handle_at).
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("open_by_handle_at", -100, kernel.ffi.new("int[34]", 128), 0)
end }
