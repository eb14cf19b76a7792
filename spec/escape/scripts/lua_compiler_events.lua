-- SPDX-License-Identifier: MIT
-- It listens to the compiler.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  require("jit").attach(function() end, "bc")
  return "it hears of each function that is compiled"
end }
