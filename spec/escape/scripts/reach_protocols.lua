-- SPDX-License-Identifier: MIT
-- It makes sockets of other protocols than TCP and UDP.
return { stopped_by = { "list" }, attack = function()
  local kernel = require "kernel"
  local made = {}
  for _, kind in ipairs { { 1, 132 }, { 1, 262 }, { 2, 1 }, { 2, 136 }, { 3, 1 }, { 3, 255 }, { 5, 132 }, { 6, 33 } } do
    for _, family in ipairs { 2, 10 } do
      if kernel.C.socket(family, kind[1], kind[2]) >= 0 then made[#made + 1] = kind[2] end
    end
  end
  return made[1] and "sockets of the protocols " .. table.concat(made, " ")
end }
