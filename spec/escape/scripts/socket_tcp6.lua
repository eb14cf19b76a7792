-- SPDX-License-Identifier: MIT
-- It makes a socket of IPv6.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.check(kernel.C.socket(10, 1, 0), "socket")
  return "it has a socket"
end }
