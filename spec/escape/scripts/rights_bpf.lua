-- SPDX-License-Identifier: MIT
-- It calls bpf() with a program that is none.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  return kernel.reached("bpf", 5, nil, 0)
end }
