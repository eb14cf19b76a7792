-- SPDX-License-Identifier: MIT
-- It writes into its input block.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.ffi.cast("char *", kernel.found("job").record)[0] = 1
  return "the input block was written"
end }
