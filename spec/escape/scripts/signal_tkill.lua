-- SPDX-License-Identifier: MIT
-- It kills the zygote by tkill().
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.call("tkill", t.zygote, 9)
  return "the zygote was killed"
end }
