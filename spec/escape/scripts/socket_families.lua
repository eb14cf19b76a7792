-- SPDX-License-Identifier: MIT
-- It makes a socket of each family there is.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  local made = {}
  for family = 1, 45 do
    for kind = 1, 5 do
      if kernel.C.socket(family, kind, 0) >= 0 then made[#made + 1] = family end
    end
  end
  return made[1] and "sockets of the families " .. table.concat(made, " ")
end }
