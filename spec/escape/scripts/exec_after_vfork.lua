-- SPDX-License-Identifier: MIT
-- It makes a child as vfork() does (it waits for the child's exec), and the child becomes another program.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local child = kernel.call("clone", 0x4000 + 17, 0, 0, 0, 0)
  if child == 0 then
    kernel.C.execve("/bin/touch", kernel.strings("touch", t.made), kernel.strings())
    kernel.C._exit(1)
  end
  return "a child ran"
end }
