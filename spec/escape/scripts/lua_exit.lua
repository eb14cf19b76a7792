-- SPDX-License-Identifier: MIT
-- It ends the worker.
return { stopped_by = { "hardened" }, attack = function()
  os.exit(3)
end }
