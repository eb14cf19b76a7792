-- SPDX-License-Identifier: MIT
-- It gives its result a key of 30 megabytes.
return { stopped_by = { "full", "standard", "hardened" }, result = true, attack = function()
  return { value = "x", key = ("k"):rep(3e7) }
end }
