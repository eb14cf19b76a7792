-- SPDX-License-Identifier: MIT
-- It opens the canary file by openat2().
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local how = kernel.ffi.new "uint64_t[3]"
  return kernel.text_of(kernel.call("openat2", -100, t.canary, how, 24))
end }
