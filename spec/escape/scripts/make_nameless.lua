-- SPDX-License-Identifier: MIT
-- It makes a file without a name beside the canary (O_TMPFILE).
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  kernel.check(kernel.C.open((t.canary:gsub("/[^/]+$", "")), 0x410002, 384), "open")
  return "there is a file without a name"
end }
