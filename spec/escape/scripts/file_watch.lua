-- SPDX-License-Identifier: MIT
-- It watches who uses the canary file.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fd = kernel.call("inotify_init1", 0)
  kernel.call("inotify_add_watch", fd, t.canary, 0xfff)
  return "it watches the canary file"
end }
