-- SPDX-License-Identifier: MIT
-- It lowers a limit of the engine: the size of its core files.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local none = kernel.ffi.new("struct kernel_limit", 0, 0)
  kernel.check(kernel.C.prlimit(t.engine, 4, none, nil), "prlimit")
  return "the engine has another limit"
end }
