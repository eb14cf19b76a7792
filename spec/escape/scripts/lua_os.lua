-- SPDX-License-Identifier: MIT
-- It uses functions of os that reach outside.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return os.getenv "PATH" or tostring(os.remove or os.rename or os.tmpname)
end }
