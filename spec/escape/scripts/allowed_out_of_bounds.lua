-- SPDX-License-Identifier: MIT
-- It reads on past the end of its message, until there is nothing more.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local at, sum = kernel.ffi.cast("char *", kernel.found("job").record), 0
  for i = 0, 2 ^ 40 do sum = sum + at[i] end
  return sum
end }
