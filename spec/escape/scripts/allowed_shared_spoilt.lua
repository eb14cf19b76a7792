-- SPDX-License-Identifier: MIT
-- It writes over all shared memory that it can write: other workers' blocks, counters, names, if they are there.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  for _, mapping in ipairs(kernel.shared()) do kernel.ffi.fill(mapping[1], mapping[2], 255) end
  io.stderr:write "spoilt\n"
end }
