-- SPDX-License-Identifier: MIT
-- It kills the engine by pidfd_send_signal().
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.call("pidfd_open", t.engine, 0)
  kernel.call("pidfd_send_signal", fd, 9, nil, 0)
  return "the engine was killed"
end }
