-- SPDX-License-Identifier: MIT
-- It kills the engine by sigqueue().
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.sigqueue(t.engine, 9, nil), "sigqueue")
  return "the engine was killed"
end }
