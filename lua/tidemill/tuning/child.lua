-- SPDX-License-Identifier: MIT
-- tuning/child.lua: runs a function in a forked process and brings its answer back: an engine forks its zygote only
-- while its process has one thread and holds no secret, and leaves nothing behind when its process ends.
local ffi = require("ffi")
local cjson = require("cjson")
local posix = require("tidemill.run.posix")

local child = {}

local PR_SET_PDEATHSIG, SIGKILL, SIG_BLOCK, SIG_SETMASK, POLLIN = 1, 9, 0, 2, 1
local ENDING = 0x4007 -- as a set of signals: HUP, INT, QUIT, TERM
local SIZE = 65536

local function write_all(fd, text)
  local at = 0
  while at < #text do
    local count = tonumber(posix.write(fd, ffi.cast("const char *", text) + at, #text - at))
    if count <= 0 then return end
    at = at + count
  end
end

-- Signals that would end this process, to be given on to the child, which ends in order: { fd, before = the mask that
-- was in force }.
local function take_signals()
  local set, before = ffi.new("uint64_t[16]"), ffi.new("uint64_t[16]") -- as large as a sigset_t
  set[0] = ENDING
  posix.tide_posix_sigprocmask(SIG_BLOCK, set, before)
  return { fd = posix.tide_posix_signalfd(-1, set, 0), before = before }
end

-- Waits until the child has written something, and gives on the signals that come meanwhile.
local function wait_for(fd, pid, signals)
  local fds, info = ffi.new("struct tide_posix_pollfd[2]"), ffi.new("uint32_t[32]") -- a struct signalfd_siginfo
  while true do
    fds[0].fd, fds[0].events, fds[1].fd, fds[1].events = fd, POLLIN, signals.fd, POLLIN
    posix.tide_posix_poll(fds, 2, -1)
    if fds[1].revents ~= 0 and posix.read(signals.fd, info, 128) == 128 then
      signals.last = tonumber(info[0])
      posix.kill(pid, signals.last)
    end
    if fds[0].revents ~= 0 then return end
  end
end

-- A child that has no answer has ended by the signal, and then so does this process.
local function give_back_signals(signals, line)
  posix.close(signals.fd)
  posix.tide_posix_sigprocmask(SIG_SETMASK, signals.before, nil)
  if signals.last and not line then posix.kill(posix.getpid(), signals.last) end
end

-- The answer is one line: the workers of the child have the pipe too, so its end comes later than the answer.
local function read_line(fd, pid, signals)
  local buffer, parts = ffi.new("char[?]", SIZE), {}
  while true do
    if signals then wait_for(fd, pid, signals) end
    local count = tonumber(posix.read(fd, buffer, SIZE))
    if count > 0 then parts[#parts + 1] = ffi.string(buffer, count) end
    local line = (count <= 0 or parts[#parts]:find("\n", 1, true)) and table.concat(parts):match("^([^\n]*)\n")
    if line or count == 0 then return line end
    if count < 0 and ffi.errno() ~= 4 then return nil end -- EINTR
  end
end

local function answer_of(fn)
  local done, answer = xpcall(fn, debug.traceback)
  if not done then answer = { failed = answer, code = 70 } end
  return cjson.encode(answer) .. "\n"
end

--- Returns what fn() returns in a process of its own, a table of texts and numbers; { failed = text, code = exit code }
--- when there is none. `signals`: those that would end this process are given on to that one.
function child.run(fn, signals)
  local fds, status = ffi.new("int[2]"), ffi.new("int[1]")
  io.stdout:flush()
  io.stderr:flush()
  if posix.pipe(fds) ~= 0 then return { failed = "no pipe for a process of its own", code = 71 } end
  local pid = posix.fork()
  if pid == 0 then
    posix.prctl(PR_SET_PDEATHSIG, ffi.cast("unsigned long", SIGKILL))
    posix.close(fds[0])
    write_all(fds[1], answer_of(fn))
    posix._exit(0)
  end
  posix.close(fds[1])
  local taken = pid > 0 and signals and take_signals()
  local line = pid > 0 and read_line(fds[0], pid, taken)
  posix.close(fds[0])
  if pid > 0 then posix.waitpid(pid, status, 0) end
  if taken then give_back_signals(taken, line) end
  if not line then return { failed = "the process that was to do it ended without a result", code = 70 } end
  return cjson.decode(line)
end

return child
