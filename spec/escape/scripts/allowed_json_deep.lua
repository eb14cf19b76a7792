-- SPDX-License-Identifier: MIT
-- It reads JSON that is nested a hundred thousand deep.
return { stopped_by = { "full", "standard", "hardened" }, attack = function(t)
  t.message.value = ("["):rep(1e5) .. ("]"):rep(1e5)
  return t.message.json[1][1] and nil
end }
