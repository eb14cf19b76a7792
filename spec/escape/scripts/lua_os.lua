-- SPDX-License-Identifier: MIT
-- It uses functions of os that reach outside.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return os.getenv "PATH" or (os.remove or os.rename or os.tmpname or os.execute or os.exit) and "it has more of os"
end }
