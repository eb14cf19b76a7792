-- SPDX-License-Identifier: MIT
-- It looks for pointers among the upvalues of functions of ours.
return { stopped_by = { "hardened" }, shown = true, attack = function(t)
  local seen = {}
  local function search(fn)
    if type(fn) ~= "function" or seen[fn] then return nil end
    seen[fn] = true
    for i = 1, 60 do
      local name, value = debug.getupvalue(fn, i)
      if not name then return nil end
      if type(value) == "cdata" then return name end
      local found = search(value)
      if found then return found end
    end
  end
  return search(t.message.copy)
end }
