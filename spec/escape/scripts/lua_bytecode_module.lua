-- SPDX-License-Identifier: MIT
-- It requires a module beside the pipeline that is bytecode.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return require "compiled" ()
end }
