-- SPDX-License-Identifier: MIT
-- It forks twice, in a session of its own, so that the grandchild outlives worker, zygote and engine.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  local child = kernel.check(kernel.C.fork(), "fork")
  if child == 0 then
    kernel.C.setsid()
    if kernel.C.fork() == 0 then kernel.stay() end
    kernel.C._exit(0)
  end
  kernel.C.waitpid(child, nil, 0)
  return "a grandchild stays"
end }
