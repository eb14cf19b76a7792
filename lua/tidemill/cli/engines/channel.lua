-- SPDX-License-Identifier: MIT
-- cli/engines/channel.lua: what the processes of several engines say to each other, over pairs of sockets that never
-- make anybody wait. Three kinds of process take part: the supervisor, which knows everything and runs no engine; the
-- launcher, its child, which has one thread for good and therefore forks the engines; and the engines.
--
--   who                      message    when                                     bytes
--   supervisor -> launcher   start      engine K is to run                       "K LIFE"
--                            signal     engine K is to be sent a signal          "K NUMBER"
--   launcher -> supervisor   started    its process is there                     "K PID"
--                            ended      its process has ended                    "K STATUS" of waitpid
--                            ended      it could not be forked                   "K none"
--   engine -> supervisor     loaded     its transforms are loaded                none
--                            alive      once a second, and when it changes       JSON: state, ready, text
--                            snapshot   once a second, and at the end            JSON, as GET /status
--                            page       once a second, when HTTP is answered     as GET /metrics
--                            answer     a part of the answer to a request        "ID TEXT"
--                            finish     the end of the answer                    "ID CODE"
--                            refuse     there is no answer                       "ID CODE TEXT"
--   supervisor -> engine     stop       all are to end, in order                 none
--                            reopen     SIGHUP: files are opened again, and      none
--                                       transforms that have changed loaded
--                            reload     SIGUSR1: transforms are loaded anew      the number that came with it
--                            request    a client asks for what is live          JSON: id, path, rest, query
--                            taken      the client has taken an answer           "ID"
--                            gone       the client has left                      "ID"
--
-- The end of file: the launcher and each engine end in order when the supervisor is gone, and the supervisor ends the
-- engines in order when the launcher is gone. Each channel outlives the engine that uses it: the launcher keeps the
-- engines' ends for their next lives, and the supervisor forgets a message that was cut off when it hears of the end.
--
-- A message is a head of 16 bytes, its name and the number of bytes that follow, and these bytes.
local buffer = require("string.buffer")
local ffi = require("ffi")
local posix = require("tidemill.run.posix")

local channel = {}
local Channel = {}
Channel.__index = Channel

local AF_UNIX, STREAM, NONBLOCK_CLOEXEC, NOSIGNAL = 1, 1, 0x80800, 0x4000
local EINTR, EAGAIN = 4, 11
local HEAD, PIECE = 16, 65536
local MOST = 64 * 2 ^ 20 -- bytes of a message: a status of ten thousand partitions has a few millions
--- Bytes that may wait until the other side reads; a message beyond that is not sent.
channel.WAITING = 4 * 2 ^ 20

local piece = ffi.new("char[?]", PIECE)

--- Returns the two ends of a new channel, as descriptors, or nil and the reason.
function channel.pair()
  local fds = ffi.new("int[2]")
  if posix.socketpair(AF_UNIX, STREAM + NONBLOCK_CLOEXEC, 0, fds) == 0 then return fds[0], fds[1] end
  return nil, ("no sockets for an engine (errno %d)"):format(ffi.errno())
end

--- Wraps a descriptor, which stays the caller's. The field `ended` is true once the other side is gone.
function channel.new(fd)
  return setmetatable({ fd = fd, input = buffer.new(), output = buffer.new(), ended = false }, Channel)
end

--- Writes what the other side takes now of what was to be sent.
function Channel:flush()
  while #self.output > 0 and not self.ended do
    local bytes, size = self.output:ref()
    local count = tonumber(posix.send(self.fd, bytes, size, NOSIGNAL))
    if count > 0 then
      self.output:skip(count)
    elseif ffi.errno() ~= EINTR then
      self.ended = ffi.errno() ~= EAGAIN
      return
    end
  end
end

--- Sends a message. False when too much waits already: then it is not sent.
function Channel:send(name, bytes)
  bytes = bytes or ""
  if #self.output > channel.WAITING then
    self:flush()
    if #self.output > channel.WAITING then return false end
  end
  self.output:putf("%-8s%8d", name, #bytes):put(bytes)
  self:flush()
  return not self.ended
end

--- Waits until all that was to be sent is taken, `seconds` at most.
function Channel:drain(seconds)
  local fds, left = ffi.new("struct tide_posix_pollfd[1]"), math.ceil(seconds * 100)
  fds[0].fd, fds[0].events = self.fd, 4 -- POLLOUT
  self:flush()
  while #self.output > 0 and not self.ended and left > 0 do
    posix.tide_posix_poll(fds, 1, 10)
    self:flush()
    left = left - 1
  end
end

-- Reads all that is there.
local function read(self)
  while not self.ended do
    local count = tonumber(posix.recv(self.fd, piece, PIECE, 0))
    if count > 0 then
      self.input:putcdata(piece, count)
    elseif count == 0 then
      self.ended = true
    elseif ffi.errno() ~= EINTR then
      self.ended = ffi.errno() ~= EAGAIN
      return
    end
  end
end

local function next_message(self)
  if not self.name then
    if #self.input < HEAD then return nil end
    local name, size = self.input:get(HEAD):match("^(%l+) *(%d+)$")
    size = tonumber(size)
    if not size or size > MOST then
      self.ended = true -- what follows has no sense either
      self.input:reset()
      return nil
    end
    self.name, self.size = name, size
  end
  if #self.input < self.size then return nil end
  local name, bytes = self.name, self.size > 0 and self.input:get(self.size) or ""
  self.name = nil
  return name, bytes
end

--- Iterates over the messages that are there: for name, bytes in channel:messages() do ... end
function Channel:messages()
  read(self)
  return next_message, self
end

--- The other side is another process from now on: what was cut off of a message is forgotten, and what the process
--- before has not read is not for this one.
function Channel:restart()
  for _ in self:messages() do end
  self.input:reset()
  self.output:reset()
  self.name = nil
end

return channel
