-- SPDX-License-Identifier: MIT
-- It reports jobs that it was never given.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  local library = require "tidemill.run.ffi"
  local job = kernel.ffi.new("struct tide_job", kernel.found "job")
  for number = 1, 1000 do
    job.number = number * 7919
    library.C.tide_worker_report(kernel.found "zygote", job, 0, false)
  end
end }
