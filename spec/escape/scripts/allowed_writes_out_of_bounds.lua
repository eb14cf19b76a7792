-- SPDX-License-Identifier: MIT
-- It writes on past the end of its output block, until there is nothing more.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local at = kernel.ffi.cast("char *", kernel.found("job").output) + 1e6
  for i = 0, 2 ^ 40 do at[i] = 1 end
end }
