-- SPDX-License-Identifier: MIT
-- Sockets that hostile scripts try to reach: they listen, and nobody accepts; the kernel connects all the same.
local ffi = require "ffi"

ffi.cdef [[
int socket(int family, int type, int protocol);
int bind(int fd, const void *address, unsigned size);
int listen(int fd, int backlog);
int getsockname(int fd, void *address, unsigned *size);
int close(int fd);
]]

local C = ffi.C
local CLOSED_BY_EXEC = 0x80000 -- SOCK_CLOEXEC
local listeners = {}

local function listen(family, address, size)
  local fd = C.socket(family, 1 + CLOSED_BY_EXEC, 0)
  assert(fd >= 0 and C.bind(fd, address, size) == 0 and C.listen(fd, 100) == 0, "a listening socket")
  return fd
end

local function unix(name)
  local address = ffi.new("uint8_t[110]", 1, 0)
  ffi.copy(address + 2, name, #name)
  return listen(1, address, 2 + #name)
end

--- Listens at a port of this machine, at the unix socket `path` and at the abstract one `name`: the port, and a
--- function that closes them.
function listeners.open(path, name)
  local address, size = ffi.new("uint8_t[16]", { 2, 0, 0, 0, 127, 0, 0, 1 }), ffi.new("unsigned[1]", 16)
  local fds = { listen(2, address, 16), unix(path), unix("\0" .. name) }
  C.getsockname(fds[1], address, size)
  return address[2] * 256 + address[3], function()
    for _, fd in ipairs(fds) do C.close(fd) end
  end
end

return listeners
