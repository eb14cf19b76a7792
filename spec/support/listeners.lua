-- SPDX-License-Identifier: MIT
-- Sockets that hostile scripts try to reach: they listen, and nobody accepts; the kernel connects all the same. And
-- sockets that say whether anything has come to them.
local ffi = require "ffi"

ffi.cdef [[
int socket(int family, int type, int protocol);
int bind(int fd, const void *address, unsigned size);
int listen(int fd, int backlog);
int getsockname(int fd, void *address, unsigned *size);
int close(int fd);
int poll(void *descriptors, unsigned long count, int timeout_ms);
]]

local C = ffi.C
local CLOSED_BY_EXEC = 0x80000 -- SOCK_CLOEXEC
local STREAM, DATAGRAM = 1, 2
local listeners = {}

local function bound(family, kind, address, size)
  local fd = C.socket(family, kind + CLOSED_BY_EXEC, 0)
  assert(fd >= 0 and C.bind(fd, address, size) == 0, "a socket with an address")
  return fd
end

local function listen(family, address, size)
  local fd = bound(family, STREAM, address, size)
  assert(C.listen(fd, 100) == 0, "a listening socket")
  return fd
end

local function inet(port, last)
  return ffi.new("uint8_t[16]", { 2, 0, math.floor(port / 256), port % 256, 127, 0, 0, last })
end

local function unix(name)
  local address = ffi.new("uint8_t[110]", 1, 0)
  ffi.copy(address + 2, name, #name)
  return listen(1, address, 2 + #name)
end

-- Two functions: one closes all of them, the other says whether anything has come to one of them.
local function functions_of(fds)
  return function()
    for _, fd in ipairs(fds) do C.close(fd) end
  end, function()
    local readable = ffi.new "struct { int fd; short wanted, got; }"
    for _, fd in ipairs(fds) do
      readable.fd, readable.wanted = fd, 1
      if C.poll(readable, 1, 0) > 0 then return true end
    end
    return false
  end
end

--- Listens at a port of this machine, at the unix socket `path` and at the abstract one `name`: the port, a function
--- that closes them, and one that says whether anybody has connected.
function listeners.open(path, name)
  local address, size = inet(0, 1), ffi.new("unsigned[1]", 16)
  local fds = { listen(2, address, 16), unix(path), unix("\0" .. name) }
  C.getsockname(fds[1], address, size)
  return address[2] * 256 + address[3], functions_of(fds)
end

--- Takes datagrams (and with `listens` connections) at a port of 127.0.0.LAST: the same two functions.
function listeners.at(port, last, listens)
  return functions_of { bound(2, DATAGRAM, inet(port, last), 16), listens and listen(2, inet(port, last), 16) or nil }
end

--- A port of 127.0.0.1 that takes connections and datagrams: the port, and the same two functions.
function listeners.any()
  local address, size = inet(0, 1), ffi.new("unsigned[1]", 16)
  local first = listen(2, address, 16)
  C.getsockname(first, address, size)
  return address[2] * 256 + address[3], functions_of { first, bound(2, DATAGRAM, address, 16) }
end

return listeners
