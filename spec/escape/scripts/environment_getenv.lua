-- SPDX-License-Identifier: MIT
-- It reads the secret in the environment.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  return os.getenv(t.variable)
end }
