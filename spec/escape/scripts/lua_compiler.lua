-- SPDX-License-Identifier: MIT
-- It switches the compiler off for all code.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  jit.off()
  return "the compiler is off"
end }
