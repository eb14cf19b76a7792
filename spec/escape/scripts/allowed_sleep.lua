-- SPDX-License-Identifier: MIT
-- It sleeps.
return { stopped_by = { "full", "standard", "hardened" }, hangs = true, attack = function()
  local kernel = require "kernel"
  kernel.C.poll(nil, 0, 100000)
end }
