-- SPDX-License-Identifier: MIT
-- Ports for servers that a spec starts later: until then nobody listens there, and nobody else is given the port.
local ffi = require "ffi"
local socket = require "socket"

pcall(ffi.cdef, "int fcntl(int fd, int command, ...);")

local SET_FLAGS, CLOSED_BY_EXEC = 2, 1 -- F_SETFD, FD_CLOEXEC

local port = {}

local kept = {} -- the sockets: collected, they would be closed

--- A port of 127.0.0.1, for as long as this process lives. A socket that never listens has it: Linux gives the port to
--- none that asks for any port, and lets a server that names it listen there, as both have SO_REUSEADDR.
function port.keep()
  local one = assert(socket.tcp4())
  assert(one:setoption("reuseaddr", true))
  assert(one:bind("127.0.0.1", 0))
  ffi.C.fcntl(one:getfd(), SET_FLAGS, ffi.cast("int", CLOSED_BY_EXEC))
  kept[#kept + 1] = one
  return tonumber((select(2, one:getsockname())))
end

return port
