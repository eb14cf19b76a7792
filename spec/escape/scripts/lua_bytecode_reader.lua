-- SPDX-License-Identifier: MIT
-- It loads bytecode by a function that gives it piece by piece.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  local pieces = { string.dump(function() return "bytecode ran" end) }
  return load(function() return table.remove(pieces, 1) end)()
end }
