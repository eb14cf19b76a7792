-- SPDX-License-Identifier: MIT
-- It asks for a key that there is not.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  return kernel.reached("request_key", "user", t.token, nil, 0)
end }
