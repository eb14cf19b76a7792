-- SPDX-License-Identifier: MIT
-- It asks for the keyring of its session.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  return kernel.reached("keyctl", 0, -3, 0)
end }
