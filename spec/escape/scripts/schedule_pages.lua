-- SPDX-License-Identifier: MIT
-- It moves the engine's memory to other nodes (migrate_pages), of which it names none.
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("migrate_pages", t.engine, 0, nil, nil)
end }
