-- SPDX-License-Identifier: MIT
-- It uses io.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return type(io.open)
end }
