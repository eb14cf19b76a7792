-- SPDX-License-Identifier: MIT
-- It starts a program by posix_spawn().
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local pid, status = kernel.ffi.new "int[1]", kernel.ffi.new "int[1]"
  local argv = kernel.strings("touch", t.made)
  assert(kernel.C.posix_spawn(pid, "/bin/touch", nil, nil, argv, kernel.strings()) == 0, "refused")
  assert(kernel.C.waitpid(pid[0], status, 0) == pid[0] and status[0] == 0, "no program ran")
  return "a program ran"
end }
