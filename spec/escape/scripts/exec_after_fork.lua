-- SPDX-License-Identifier: MIT
-- It forks, and its child becomes another program.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local child = kernel.check(kernel.C.fork(), "fork")
  if child == 0 then
    kernel.C.execve("/bin/touch", kernel.strings("touch", t.made), kernel.strings())
    kernel.C._exit(1)
  end
  local status = kernel.ffi.new "int[1]"
  kernel.C.waitpid(child, status, 0)
  assert(status[0] == 0, "the child ran no program")
  return "a child ran a program"
end }
