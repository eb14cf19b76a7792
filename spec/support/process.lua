-- SPDX-License-Identifier: MIT
-- Programs that a spec runs beside itself: started by posix_spawn in a process group of their own, output to files,
-- stopped by pid. Call process.stop_all() in after_each or teardown.
local ffi = require "ffi"
local wait = require "spec.support.wait"

ffi.cdef [[
extern char **environ;
int posix_spawnp(int *pid, const char *file, const void *actions, const void *attributes, char *const argv[],
                 char *const envp[]);
int posix_spawn_file_actions_init(void *actions);
int posix_spawn_file_actions_destroy(void *actions);
int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, unsigned int mode);
int posix_spawn_file_actions_addchdir_np(void *actions, const char *path);
int posix_spawnattr_init(void *attributes);
int posix_spawnattr_destroy(void *attributes);
int posix_spawnattr_setflags(void *attributes, short flags);
int posix_spawnattr_setpgroup(void *attributes, int group);
int waitpid(int pid, int *status, int options);
int kill(int pid, int signal);
char *strerror(int number);
]]

local process = {}
local methods = {}
local metatable = { __index = methods }
local started = {}

local O_RDONLY, O_WRONLY_CREAT_TRUNC, SETPGROUP, WNOHANG = 0, 0x241, 0x02, 1
local SIGNALS = {
  HUP = 1, INT = 2, QUIT = 3, KILL = 9, USR1 = 10, SEGV = 11, USR2 = 12, TERM = 15, CONT = 18, STOP = 19,
}

-- A NULL-terminated char*[]; the second result keeps the strings alive.
local function c_strings(list)
  local array = ffi.new("const char *[?]", #list + 1)
  for i, text in ipairs(list) do
    array[i - 1] = text
  end
  return ffi.cast("char *const *", array), { array, list }
end

local function environment(changes)
  local values, list = {}, {}
  local i = 0
  while ffi.C.environ[i] ~= nil do
    local name, value = ffi.string(ffi.C.environ[i]):match("^([^=]+)=(.*)$")
    if name then values[name] = value end
    i = i + 1
  end
  for name, value in pairs(changes or {}) do
    values[name] = value or nil
  end
  for name, value in pairs(values) do
    list[#list + 1] = name .. "=" .. value
  end
  return list
end

local function spawn(argv, options, stdout_path, stderr_path)
  local actions, attributes = ffi.new("char[512]"), ffi.new("char[1024]")
  local C = ffi.C
  C.posix_spawn_file_actions_init(actions)
  C.posix_spawn_file_actions_addopen(actions, 0, options.stdin or "/dev/null", O_RDONLY, 0)
  C.posix_spawn_file_actions_addopen(actions, 1, stdout_path, O_WRONLY_CREAT_TRUNC, 384)
  C.posix_spawn_file_actions_addopen(actions, 2, stderr_path, O_WRONLY_CREAT_TRUNC, 384)
  if options.cwd then C.posix_spawn_file_actions_addchdir_np(actions, options.cwd) end
  C.posix_spawnattr_init(attributes)
  C.posix_spawnattr_setflags(attributes, SETPGROUP)
  C.posix_spawnattr_setpgroup(attributes, 0)
  local pid = ffi.new("int[1]")
  local arguments, keep = c_strings(argv)
  local variables, keep_too = c_strings(environment(options.env))
  local code = C.posix_spawnp(pid, argv[1], actions, attributes, arguments, variables)
  C.posix_spawn_file_actions_destroy(actions)
  C.posix_spawnattr_destroy(attributes)
  if code ~= 0 then error(("cannot start %s: %s"):format(argv[1], ffi.string(C.strerror(code))), 3) end
  return pid[0], keep, keep_too
end

--- Starts argv[1] (by PATH) with its arguments in the background.
--- options: env = {NAME = text, or false to unset}, added to the present environment; cwd; stdin = path of a file.
function process.start(argv, options)
  local self = setmetatable({ stdout_path = os.tmpname(), stderr_path = os.tmpname() }, metatable)
  self.id = spawn(argv, options or {}, self.stdout_path, self.stderr_path)
  self.name = argv[1]
  started[#started + 1] = self
  return self
end

--- Runs it to its end: exit code, stdout, stderr. Past options.timeout (60 s) it is killed and an error raised.
function process.run(argv, options)
  local self = process.start(argv, options)
  local timeout = options and options.timeout or 60
  local code = self:wait(timeout)
  local out, err = self:stdout(), self:stderr()
  self:stop()
  if not code then error(("%s still ran after %g s; stderr:\n%s"):format(argv[1], timeout, err), 2) end
  return code, out, err
end

--- Kills a process that another has started.
function process.kill(pid)
  ffi.C.kill(pid, SIGNALS.KILL)
end

--- Stops a process that another has started where it is (SIGSTOP), until process.resume(pid).
function process.pause(pid)
  ffi.C.kill(pid, SIGNALS.STOP)
end

function process.resume(pid)
  ffi.C.kill(pid, SIGNALS.CONT)
end

--- Whether a process is there and has not ended.
function process.alive(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  local line = file and file:read "*l"
  if file then file:close() end
  return line and not line:find "%) Z" and true or false
end

--- Those of the pids whose process has not ended.
function process.living(pids)
  local found = {}
  for _, pid in ipairs(pids) do
    if process.alive(pid) then found[#found + 1] = pid end
  end
  return found
end

--- Pids of the processes that its main thread has started and that have not ended, in the order of their start, which
--- is not that of their pids: these begin again behind /proc/sys/kernel/pid_max. None when it is gone.
function process.children(pid)
  local file = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
  local text = file and file:read "*a" or ""
  if file then file:close() end
  local pids = {}
  for child in text:gmatch "%d+" do pids[#pids + 1] = tonumber(child) end
  return process.living(pids)
end

--- Pids of the workers of an engine that has no list of hosts: the children of its first child, the zygote.
function process.workers(engine)
  local zygote = process.children(engine)[1]
  return zygote and process.children(zygote) or {}
end

--- Pids of a process and of all that come from it, parents before their children.
function process.descendants(pid)
  local pids = { pid }
  for i = 1, math.huge do
    if not pids[i] then return pids end
    for _, child in ipairs(process.children(pids[i])) do pids[#pids + 1] = child end
  end
end

--- Stops whatever this spec has started and still runs, and removes the output files.
function process.stop_all()
  for _, one in ipairs(started) do
    one:stop()
  end
  started = {}
end

function methods:pid()
  return self.id
end

--- Exit code if it has ended (128 + number of the signal that ended it), else nil.
function methods:code()
  if self.ended then return self.ended end
  local status = ffi.new("int[1]")
  if ffi.C.waitpid(self.id, status, WNOHANG) ~= self.id then return nil end
  local signal = status[0] % 128
  self.ended = signal == 0 and math.floor(status[0] / 256) % 256 or 128 + signal
  return self.ended
end

function methods:running()
  return self:code() == nil
end

--- By number, or by a name such as "TERM"; to it alone, not to its children. False when it has ended.
function methods:signal(signal)
  if signal ~= "STOP" and signal ~= "CONT" then wait.unwatch(self) end
  if not self:running() then return false end
  return ffi.C.kill(self.id, SIGNALS[signal] or signal) == 0
end

--- The exit code once it has ended, or nil after `seconds` (60).
function methods:wait(seconds)
  wait.unwatch(self)
  local deadline = wait.now() + (seconds or 60)
  while self:running() and wait.now() < deadline do
    wait.pause()
  end
  return self:code()
end

local function contents(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read("*a")
  file:close()
  return text
end

--- What it has written so far; kept readable after stop().
function methods:stdout()
  return self.out or contents(self.stdout_path)
end

function methods:stderr()
  return self.err or contents(self.stderr_path)
end

--- TERM, after `seconds` (10) KILL; its process group goes with it. Returns the exit code.
function methods:stop(seconds)
  wait.unwatch(self)
  if self.out then return self.ended end
  if self:running() then
    self:signal("TERM")
    if not self:wait(seconds or 10) then
      self:signal("KILL")
      self:wait(10)
    end
  end
  ffi.C.kill(-self.id, SIGNALS.KILL)
  self.out, self.err = contents(self.stdout_path), contents(self.stderr_path)
  os.remove(self.stdout_path)
  os.remove(self.stderr_path)
  return self.ended
end

return process
