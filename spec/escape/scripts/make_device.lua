-- SPDX-License-Identifier: MIT
-- It makes a device beside the canary: the null device.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  kernel.call("mknodat", -100, t.made, 0x2000 + 438, 0x103)
  return "there is a device"
end }
