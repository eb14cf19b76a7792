-- SPDX-License-Identifier: MIT
-- It sets a hook on every line that runs.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  debug.sethook(function() end, "l")
  return "it has a hook"
end }
