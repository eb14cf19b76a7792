-- SPDX-License-Identifier: MIT
-- It gives its result two hundred thousand headers.
return { stopped_by = { "full", "standard", "hardened" }, result = true, attack = function()
  local headers = {}
  for i = 1, 2e5 do headers[i] = { "name" .. i, "x" } end
  return { value = "x", headers = headers }
end }
