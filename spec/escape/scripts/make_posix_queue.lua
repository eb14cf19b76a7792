-- SPDX-License-Identifier: MIT
-- It makes a POSIX message queue, which outlives all processes.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  kernel.call("mq_open", t.token, 0x42, 384, nil)
  kernel.call("mq_unlink", t.token)
  return "there was a message queue"
end }
