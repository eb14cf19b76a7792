-- SPDX-License-Identifier: MIT
-- It makes the engine the owner of a pipe, so that the kernel sends it SIGKILL when the pipe becomes readable.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fds = kernel.ffi.new "int[2]"
  kernel.check(kernel.C.pipe(fds), "pipe")
  local function set(command, value)
    kernel.check(kernel.C.fcntl(fds[0], command, kernel.ffi.cast("long", value)), "fcntl")
  end
  set(8, t.engine) -- F_SETOWN
  set(10, 9) -- F_SETSIG
  set(4, 0x2000) -- F_SETFL, O_ASYNC
  kernel.C.write(fds[1], "x", 1)
  kernel.C.poll(nil, 0, 20)
end }
