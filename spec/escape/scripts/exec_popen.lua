-- SPDX-License-Identifier: MIT
-- It reads the canary file through a program that io.popen starts.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local pipe = assert(io.popen("cat " .. t.canary))
  return pipe:read "*l"
end }
