-- SPDX-License-Identifier: MIT
-- It starts a program by os.execute.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  assert(os.execute("touch " .. t.made) == 0, "no program ran")
  return "a program ran"
end }
