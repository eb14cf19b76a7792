-- SPDX-License-Identifier: MIT
-- It gives its result a time beyond all times.
return { stopped_by = { "full", "standard", "hardened" }, result = true, attack = function()
  return { value = "x", timestamp = 1e300 }
end }
