-- SPDX-License-Identifier: MIT
-- It sends the engine what is no report.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.C.write(kernel.mailbox(), "garbage", 7)
  kernel.C.poll(nil, 0, 20)
end }
