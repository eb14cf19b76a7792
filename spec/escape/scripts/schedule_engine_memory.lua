-- SPDX-License-Identifier: MIT
-- It has the engine killed first when memory is short.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local file = assert(io.open(("/proc/%d/oom_score_adj"):format(t.engine), "w"))
  assert(file:write "500" and file:flush())
  return "the engine is killed first"
end }
