-- SPDX-License-Identifier: MIT
-- It sends its result to a partition that no topic has.
return { stopped_by = { "full", "standard", "hardened" }, result = true, attack = function()
  return { value = "x", partition = 2 ^ 31 }
end }
