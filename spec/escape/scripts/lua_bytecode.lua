-- SPDX-License-Identifier: MIT
-- It loads bytecode, which nothing verifies.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return load(string.dump(function() return "bytecode ran" end))()
end }
