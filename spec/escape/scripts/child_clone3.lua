-- SPDX-License-Identifier: MIT
-- It makes a child by clone3(), and the child stays.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  local arguments = kernel.ffi.new "uint64_t[8]"
  arguments[4] = 17 -- the signal of its end
  if kernel.call("clone3", arguments, 64) == 0 then kernel.stay() end
  return "a child stays"
end }
