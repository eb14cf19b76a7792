-- SPDX-License-Identifier: MIT
-- It makes the canary file its standard input.
return { stopped_by = { "standard", "hardened" }, landlock = true, shown = true, attack = function(t)
  return io.input(t.canary):read "*l"
end }
