-- SPDX-License-Identifier: MIT
-- It reaches a file's methods by standard output.
return { stopped_by = { "hardened" }, attack = function()
  return tostring(io.stdout or io.stderr)
end }
