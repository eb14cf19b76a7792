-- SPDX-License-Identifier: MIT
-- It gives its result a time that is none.
return { stopped_by = { "full", "standard", "hardened" }, result = true, attack = function()
  return { value = "x", timestamp = 0 / 0 }
end }
