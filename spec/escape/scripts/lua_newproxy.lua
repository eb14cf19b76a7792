-- SPDX-License-Identifier: MIT
-- It makes a value whose finalizer runs at the end.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  getmetatable(newproxy(true)).__gc = function() end
  return "there is a finalizer"
end }
