-- SPDX-License-Identifier: MIT
-- It fills a table without end.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local list = {}
  while list do list[#list + 1] = { #list } end
end }
