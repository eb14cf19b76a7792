-- SPDX-License-Identifier: MIT
-- It forks fifty children, which stay.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  local made = 0
  for _ = 1, 50 do
    local child = kernel.C.fork()
    if child == 0 then kernel.stay() end
    if child > 0 then made = made + 1 end
  end
  return made > 0 and made .. " children stay"
end }
