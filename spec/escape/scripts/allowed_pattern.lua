-- SPDX-License-Identifier: MIT
-- It has a pattern go back without end.
return { stopped_by = { "full", "standard", "hardened" }, hangs = true, attack = function()
  return (("a"):rep(40)):find(("a*"):rep(30) .. "b")
end }
