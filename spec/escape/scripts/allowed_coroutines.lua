-- SPDX-License-Identifier: MIT
-- It makes coroutines without end.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local list = {}
  while list do
    list[#list + 1] = coroutine.wrap(function() coroutine.yield() end)
    list[#list]()
  end
end }
