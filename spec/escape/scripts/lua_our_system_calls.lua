-- SPDX-License-Identifier: MIT
-- It requires the module of ours that calls the system.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return require("tidemill.run.posix").getpid()
end }
