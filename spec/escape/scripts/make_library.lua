-- SPDX-License-Identifier: MIT
-- It writes a library beside the canary and loads it.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local bytes = assert(io.open(t.folder .. "/library.so", "rb")):read "*a"
  local file = assert(io.open(t.made, "wb"))
  file:write(bytes)
  file:close()
  assert(package.loadlib(t.made, "*"))
  return "a library was written and loaded"
end }
