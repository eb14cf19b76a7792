-- SPDX-License-Identifier: MIT
-- It compiles code that has our globals in place of its own.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return load "return io and io.open and 'it has io'" ()
end }
