-- SPDX-License-Identifier: MIT
-- It makes the engine the owner of a socket by ioctl(), so that the kernel sends it SIGIO, which ends a process.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local fds = kernel.ffi.new "int[2]"
  kernel.check(kernel.C.socketpair(1, 1, 0, fds), "socketpair")
  local function set(request, value)
    kernel.check(kernel.C.ioctl(fds[0], request, kernel.ffi.new("int[1]", value)), "ioctl")
  end
  set(0x8901, t.engine) -- FIOSETOWN
  set(0x5452, 1) -- FIOASYNC
  kernel.C.write(fds[1], "x", 1)
  kernel.C.poll(nil, 0, 20)
end }
