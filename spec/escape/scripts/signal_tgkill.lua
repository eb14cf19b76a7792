-- SPDX-License-Identifier: MIT
-- It kills the engine by tgkill().
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.call("tgkill", t.engine, t.engine, 9)
  return "the engine was killed"
end }
