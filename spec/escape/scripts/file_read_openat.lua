-- SPDX-License-Identifier: MIT
-- It opens the canary's folder as a place (O_PATH), and from there the file.
return { stopped_by = { "standard", "hardened" }, landlock = true, shown = true, attack = function(t)
  local kernel = require "kernel"
  local folder = kernel.check(kernel.C.open((t.canary:gsub("/[^/]+$", "")), 0x200000), "open")
  return kernel.text_of(kernel.check(kernel.C.openat(folder, "file", 0), "openat"))
end }
