-- SPDX-License-Identifier: MIT
-- It loads a file beside the pipeline that is bytecode.
return { stopped_by = { "hardened" }, shown = true, attack = function(t)
  return loadfile(t.folder .. "/compiled.lua")()()
end }
