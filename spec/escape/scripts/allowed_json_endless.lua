-- SPDX-License-Identifier: MIT
-- It returns a table that holds itself, as JSON.
return { stopped_by = { "full", "standard", "hardened" }, result = true, attack = function()
  local list = {}
  list[1] = list
  return { json = list }
end }
