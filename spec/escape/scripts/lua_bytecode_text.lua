-- SPDX-License-Identifier: MIT
-- It loads the first bytes of bytecode, which are no text.
return { stopped_by = { "hardened" }, attack = function()
  local chunk, problem = load("\27LJ\2\10", "=x")
  return chunk or (not problem:find "attempt to load" and not problem:find "unexpected symbol") and problem
end }
