-- SPDX-License-Identifier: MIT
-- It reads the canary file by io.lines.
return { stopped_by = { "standard", "hardened" }, landlock = true, shown = true, attack = function(t)
  return io.lines(t.canary)()
end }
