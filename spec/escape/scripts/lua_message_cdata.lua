-- SPDX-License-Identifier: MIT
-- It reads past the end of the message, which is a pointer in disguise.
return { stopped_by = { "hardened" }, shown = true, attack = function(t)
  assert(type(t.message) == "cdata", "a message is no cdata")
  return "a message is cdata"
end }
