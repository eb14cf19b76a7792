-- SPDX-License-Identifier: MIT
-- It does so by loadstring.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return loadstring "return io and io.open and 'it has io'" ()
end }
