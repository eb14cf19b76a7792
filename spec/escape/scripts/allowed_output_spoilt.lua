-- SPDX-License-Identifier: MIT
-- It writes over its output block and says nothing of it.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local job = kernel.found "job"
  kernel.ffi.fill(job.output, tonumber(job.output_size), 255)
end }
