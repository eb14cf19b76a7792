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
local DRAWS = 100 -- of a port
local listeners = {}

-- A socket with an address; nil where another has it.
local function bound(family, kind, address, size)
  local fd = C.socket(family, kind + CLOSED_BY_EXEC, 0)
  assert(fd >= 0, "a socket")
  if C.bind(fd, address, size) == 0 then return fd end
  C.close(fd)
end

local function listen(family, address, size)
  local fd = assert(bound(family, STREAM, address, size), "a socket with an address")
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

-- Listens at a port of 127.0.0.1 that is free at the other addresses { { kind, last byte }, ... } as well, and takes it
-- there: the port and the sockets. Of a port that is free for one of them, another process may have the next.
local function take_port(others)
  for _ = 1, DRAWS do
    local address, size = inet(0, 1), ffi.new("unsigned[1]", 16)
    local fds = { listen(2, address, 16) }
    C.getsockname(fds[1], address, size)
    local port = address[2] * 256 + address[3]
    for i, other in ipairs(others) do
      fds[i + 1] = fds[i] and bound(2, other[1], inet(port, other[2]), 16)
      if fds[i + 1] and other[1] == STREAM then assert(C.listen(fds[i + 1], 100) == 0, "a listening socket") end
    end
    if fds[#others + 1] then return port, fds end
    for _, fd in ipairs(fds) do C.close(fd) end
  end
  error("no port is free at each of these addresses", 2)
end

--- Listens at a port of this machine, which takes datagrams too, at the unix socket `path` and at the abstract one
--- `name`: the port, a function that closes them, and one that says whether anything has come to one of them.
function listeners.open(path, name)
  local port, fds = take_port { { DATAGRAM, 1 } }
  fds[3], fds[4] = unix(path), unix("\0" .. name)
  return port, functions_of(fds)
end

--- A port of 127.0.0.1 and of 127.0.0.LAST, both of which take connections and datagrams: the port, a function that
--- closes all, and one that says whether anything has come to 127.0.0.LAST.
function listeners.beside(last)
  local port, fds = take_port { { DATAGRAM, 1 }, { DATAGRAM, last }, { STREAM, last } }
  return port, (functions_of(fds)), (select(2, functions_of { fds[3], fds[4] }))
end

return listeners
