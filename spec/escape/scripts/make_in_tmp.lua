-- SPDX-License-Identifier: MIT
-- It makes a file in /tmp.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  assert(io.open("/tmp/" .. t.token, "w")):close()
  return "there is another file"
end }
