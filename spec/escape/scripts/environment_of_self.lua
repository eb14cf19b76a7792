-- SPDX-License-Identifier: MIT
-- It reads the environment that it was started with from /proc.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  return kernel.variable(assert(io.open "/proc/self/environ"):read "*a", t.variable)
end }
