-- SPDX-License-Identifier: MIT
-- It changes the compiler's settings.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  require("jit.opt").start("hotloop=1")
  return "the compiler has other settings"
end }
