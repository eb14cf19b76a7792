-- SPDX-License-Identifier: MIT
-- It no longer wants to be killed when the zygote dies (PR_SET_PDEATHSIG).
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.prctl(1, kernel.ffi.cast("long", 0)), "prctl")
  return "it may outlive the zygote"
end }
