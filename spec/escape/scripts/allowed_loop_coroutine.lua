-- SPDX-License-Identifier: MIT
-- It loops without end in a coroutine.
return { stopped_by = { "full", "standard", "hardened" }, hangs = true, attack = function()
  coroutine.wrap(function() while true do end end)()
end }
