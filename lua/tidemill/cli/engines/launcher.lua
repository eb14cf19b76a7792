-- SPDX-License-Identifier: MIT
-- cli/engines/launcher.lua: the process that forks the engines. An engine forks its zygote while it has one thread, so
-- it has to be forked by a process with one thread; the supervisor has a second one as soon as it answers HTTP. So it
-- forks this process first, which has nothing to do but to fork, to signal and to reap. It is told and it tells by
-- cli/engines/channel.lua. It decides nothing: signals to the process group are not for it, and not for the engines.
local channel = require("tidemill.cli.engines.channel")
local ffi = require("ffi")
local posix = require("tidemill.run.posix")

local launcher = {}

local PR_SET_DUMPABLE, WNOHANG, POLLIN = 4, 1, 1
local SIG_BLOCK, SIG_SETMASK, NONBLOCK_CLOEXEC = 0, 2, 0x80800
local TERM, CHLD, INTERNAL = 15, 17, 70

-- The signals with these numbers as a sigset_t.
local function set_of(numbers)
  local set = ffi.new("uint64_t[16]")
  for _, number in ipairs(numbers) do set[0] = bit.bor(set[0], bit.lshift(1ULL, number - 1)) end
  return set
end

--- Blocks signals in this process, and returns a descriptor from which they are read.
function launcher.signals(numbers)
  local set = set_of(numbers)
  posix.tide_posix_sigprocmask(SIG_BLOCK, set, nil)
  return posix.tide_posix_signalfd(-1, set, NONBLOCK_CLOEXEC)
end

-- In the engine's process: only its own end is left open of all that the launcher has.
local function become_engine(self, number, life)
  posix.close(self.commands.fd)
  posix.close(self.deaths)
  for other, fd in ipairs(self.ends) do
    if other ~= number then posix.close(fd) end
  end
  posix.tide_posix_sigprocmask(SIG_SETMASK, set_of(self.blocked), nil) -- the engine reads them in its own way
  if self.core_dumps then posix.prctl(PR_SET_DUMPABLE, ffi.cast("unsigned long", 1)) end
  local done, code = xpcall(self.run, debug.traceback, number, self.ends[number], life)
  if not done then io.stderr:write(("tidemill: engine %d: %s\n"):format(number, tostring(code))) end
  io.stdout:flush()
  posix._exit(done and code or INTERNAL)
end

-- What the process before has left unread in the channel was not for this one.
local function empty(fd)
  local left = channel.new(fd)
  for _ in left:messages() do end
end

local on = {}

function on.start(self, bytes)
  local number, life = bytes:match("^(%d+) (%d+)$")
  number = tonumber(number)
  empty(self.ends[number])
  io.stdout:flush()
  io.stderr:flush()
  local pid = posix.fork()
  if pid == 0 then become_engine(self, number, tonumber(life)) end
  if pid < 0 then return self.commands:send("ended", number .. " none") end
  self.pids[number] = pid
  self.commands:send("started", ("%d %d"):format(number, pid))
end

-- A process that is not reaped has its number for itself.
function on.signal(self, bytes)
  local number, signal = bytes:match("^(%d+) (%d+)$")
  local pid = self.pids[tonumber(number)]
  if pid then posix.kill(pid, tonumber(signal)) end
end

local function reap(self)
  local status, ignored = ffi.new("int[1]"), ffi.new("uint32_t[32]")
  while posix.read(self.deaths, ignored, 128) == 128 do end
  while true do
    local pid = posix.waitpid(-1, status, WNOHANG)
    if pid <= 0 then return end
    for number, one in pairs(self.pids) do
      if one == pid then
        self.pids[number] = nil
        self.commands:send("ended", ("%d %d"):format(number, status[0]))
      end
    end
  end
end

-- Engines that read have seen the end of their channels; those that load transforms look at signals alone.
local function leave(self)
  for _, pid in pairs(self.pids) do posix.kill(pid, TERM) end
  while posix.waitpid(-1, nil, 0) > 0 or ffi.errno() == 4 do end -- EINTR
  posix._exit(0)
end

local function serve(self)
  local fds = ffi.new("struct tide_posix_pollfd[2]")
  fds[0].fd, fds[0].events, fds[1].fd, fds[1].events = self.commands.fd, POLLIN, self.deaths, POLLIN
  while not self.commands.ended do
    posix.tide_posix_poll(fds, 2, #self.commands.output > 0 and 10 or -1)
    for name, bytes in self.commands:messages() do on[name](self, bytes) end
    reap(self)
    self.commands:flush()
  end
  leave(self)
end

--- Forks the launcher, in a process with one thread. spec: ends (the engines' ends of their channels), theirs (the
--- supervisor's, which are closed here), blocked (the signals that the supervisor reads), core_dumps (workers may leave
--- core files), run(number, fd, life) (runs an engine in its process and returns its exit code). Returns its process id
--- and the descriptor of the supervisor's end of its channel, or nil and the reason.
function launcher.fork(spec)
  local mine, its = channel.pair()
  if not mine then return nil, its end
  io.stdout:flush()
  io.stderr:flush()
  local pid = posix.fork()
  if pid < 0 then return nil, ("no process for the launcher (errno %d)"):format(ffi.errno()) end
  if pid > 0 then
    posix.close(its)
    for _, fd in ipairs(spec.ends) do posix.close(fd) end
    return pid, mine
  end
  posix.close(mine)
  posix.tide_posix_signal(CHLD, nil) -- where it is ignored nobody could wait for a child
  for _, fd in ipairs(spec.theirs) do posix.close(fd) end
  local self = { commands = channel.new(its), ends = spec.ends, run = spec.run, blocked = spec.blocked,
    core_dumps = spec.core_dumps, pids = {}, deaths = launcher.signals { CHLD } }
  local done, reason = xpcall(serve, debug.traceback, self)
  io.stderr:write("tidemill: launcher: " .. (done and "ended" or tostring(reason)) .. "\n")
  posix._exit(INTERNAL)
end

return launcher
