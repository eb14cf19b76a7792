-- SPDX-License-Identifier: MIT
-- It makes a file in /dev/shm.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  assert(io.open("/dev/shm/" .. t.token, "w")):close()
  return "there is another file"
end }
