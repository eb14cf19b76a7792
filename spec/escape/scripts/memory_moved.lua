-- SPDX-License-Identifier: MIT
-- It moves the engine's pages to another node (move_pages), none of them.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("move_pages", t.engine, 0, 0, 0, 0, 2)
end }
