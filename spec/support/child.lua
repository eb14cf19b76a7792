-- SPDX-License-Identifier: MIT
-- A function run in a forked process: for what ends a process, and for what another process sees.
local ffi = require "ffi"
require "spec.support.process" -- declares waitpid and kill
local wait = require "spec.support.wait"

ffi.cdef [[
int fork(void);
void _exit(int code);
int getpid(void);
int dup2(int from, int to);
int open(const char *path, int flags, ...);
int close(int fd);
void (*signal(int number, void (*handler)(int)))(int);
]]

local child = {}
local methods = {}
local metatable = { __index = methods }
local started = {}

local O_WRONLY_CREAT_TRUNC, WNOHANG, KILL = 0x241, 1, 9

-- In the child: standard error to `path`; a sanitizer's handlers would turn a signal into an exit code.
local function run(fn, path)
  ffi.C.dup2(ffi.C.open(path, O_WRONLY_CREAT_TRUNC, ffi.cast("int", 384)), 2)
  for _, number in ipairs { 6, 7, 11 } do ffi.C.signal(number, nil) end
  local ok, result = xpcall(fn, debug.traceback)
  if not ok then io.stderr:write(tostring(result), "\n") end
  ffi.C._exit(ok and tonumber(result) or ok and 0 or 99)
end

--- Forks; `fn` runs in the child, and what it returns (a number, else 0) is the exit code. An error is exit code 99.
function child.start(fn)
  local self = setmetatable({ path = os.tmpname() }, metatable)
  io.stdout:flush()
  self.pid = ffi.C.fork()
  if self.pid == 0 then run(fn, self.path) end
  assert(self.pid > 0, "fork")
  started[#started + 1] = self
  return self
end

--- True once it has ended; then `code` or `signal` is set.
function methods:ended()
  if self.code or self.signal then return true end
  local status = ffi.new("int[1]")
  if ffi.C.waitpid(self.pid, status, WNOHANG) ~= self.pid then return false end
  local number = status[0] % 128
  if number ~= 0 then self.signal = number else self.code = math.floor(status[0] / 256) % 256 end
  return true
end

--- What it has written to standard error.
function methods:stderr()
  local file = io.open(self.path, "rb")
  local text = file and file:read("*a") or self.text
  if file then file:close() end
  return text
end

function methods:kill(number)
  if not self:ended() then ffi.C.kill(self.pid, number or KILL) end
end

--- Waits for its end. Returns exit code (nil when a signal ended it), signal, standard error.
function methods:join(seconds)
  wait.until_true(function() return self:ended() end, seconds or 60, "the end of the child")
  return self.code, self.signal, self:stderr()
end

--- Runs `fn` in a child to its end: exit code, signal, standard error.
function child.run(fn, seconds)
  return child.start(fn):join(seconds)
end

--- Kills all that still run, and waits for none.
function child.kill_all()
  for _, one in ipairs(started) do one:kill(KILL) end
end

--- For after_each: no child of this spec outlives it.
function child.stop_all()
  for _, one in ipairs(started) do
    if not one:ended() then
      one:kill(KILL)
      one:join()
    end
    one.text = one:stderr()
    os.remove(one.path)
  end
  started = {}
end

return child
