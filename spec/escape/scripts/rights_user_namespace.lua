-- SPDX-License-Identifier: MIT
-- It makes a user namespace, in which it has all capabilities.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.call("unshare", 0x10000000)
  return "it is root in a namespace of its own"
end }
