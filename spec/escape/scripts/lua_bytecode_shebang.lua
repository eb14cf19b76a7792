-- SPDX-License-Identifier: MIT
-- It loads a file that begins as a shell script does, and goes on as bytecode.
return { stopped_by = { "hardened" }, attack = function(t)
  return loadfile(t.folder .. "/compiled.sh")()()
end }
