-- SPDX-License-Identifier: MIT
-- It makes its folder the root folder.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  kernel.call("chroot", t.folder)
  return "it has another root folder"
end }
