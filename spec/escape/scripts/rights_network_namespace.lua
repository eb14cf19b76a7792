-- SPDX-License-Identifier: MIT
-- It makes a network namespace.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.call("unshare", 0x40000000)
  return "it has a network of its own"
end }
