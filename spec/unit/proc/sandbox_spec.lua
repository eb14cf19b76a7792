-- SPDX-License-Identifier: MIT
-- Each rule of the sandbox, in a process of its own: what is refused there, the same call without the sandbox is not.
local ffi = require "ffi"
local child = require "spec.support.child"
local pipeline_file = require "spec.support.pipeline_file"
local C = require("spec.support.headers").declare("proc/sandbox_inside.h")

ffi.cdef [[
long syscall(long number, ...);
int socket(int family, int type, int protocol);
int socketpair(int family, int type, int protocol, int *ends);
int execve(const char *path, char *const *arguments, char *const *environment);
int fcntl(int fd, int command, ...);
int prctl(int option, ...);
int unshare(int flags); int setns(int fd, int kind); int chroot(const char *path);
int mount(const char *source, const char *target, const char *kind, unsigned long flags, const void *data);
int chmod(const char *path, unsigned mode);
int truncate(const char *path, long length);
int unlink(const char *path); int rename(const char *from, const char *to); int mkdir(const char *path, unsigned mode);
int setpriority(int which, int who, int value);
int sched_setaffinity(int pid, size_t size, const void *mask);
int memfd_create(const char *name, unsigned flags);
int personality(unsigned long kind);
int pause(void); int getppid(void); int pipe(int *ends);
long read(int fd, void *bytes, size_t count); long write(int fd, const void *bytes, size_t count);
int pthread_create(unsigned long *thread, const void *attributes, void *(*start)(void *), void *argument);
int pthread_join(unsigned long thread, void **result);
char *getenv(const char *name);
int setenv(const char *name, const char *value, int replace);
int prlimit(int pid, int which, const unsigned long *set, unsigned long *get);
]]

local EPERM, EACCES = 1, 13
local RDONLY, WRONLY, TRUNC, CREAT = 0, 1, 0x200, 0x40
local NO_LANDLOCK, OF_DEBIAN_12 = 0, 2

-- On x86-64, for calls that the C library has no function for.
local CALLS = { bpf = 321, userfaultfd = 323, keyctl = 250, perf_event_open = 298, io_uring_setup = 425,
  pidfd_open = 434, process_vm_readv = 310, open_by_handle_at = 304, clone3 = 435, openat2 = 437, ptrace = 101,
  clone = 56, kcmp = 312, init_module = 175, shmget = 29 }

-- Arguments are numbers or pointers, up to six.
local function call(name, ...)
  local all = { 0, 0, 0, 0, 0, 0 }
  for i, argument in ipairs { ... } do all[i] = argument end
  for i, argument in ipairs(all) do
    if type(argument) == "number" then all[i] = ffi.cast("long", argument) end
  end
  return tonumber(ffi.C.syscall(CALLS[name], unpack(all)))
end

local zero, every = ffi.new "char[256]", ffi.new "char[8]"
ffi.fill(every, 8, 255)

-- The plan of a sandbox. options: trust, network, read, write, env. The arrays are kept with it.
local function plan_of(options)
  local plan, anchor = ffi.new "struct tide_plan_sandbox", {}
  plan.trust = C["TIDE_TRUST_" .. (options.trust or "standard"):upper()]
  plan.network = options.network or false
  for _, name in ipairs { "read", "write", "env" } do
    local list = options[name] or {}
    anchor[name] = ffi.new("const char *[?]", #list + 1, list)
    plan[name], plan[name .. "_count"] = anchor[name], #list
  end
  return plan, anchor
end

-- Runs `fn` in a process of its own, in the sandbox: nil when what it returns is not negative, else the error's number.
-- options: as above, landlock = the version of an older kernel, worker = true, keep = array of descriptors.
local function outcome(options, fn)
  local code, signal, text = child.run(function()
    local plan, anchor = plan_of(options)
    local support = ffi.new "struct tide_sandbox_support"
    C.tide_sandbox_support(support)
    support.landlock = math.min(support.landlock, options.landlock or 100)
    local keep = ffi.new("int[?]", #(options.keep or {}) + 1, options.keep or {})
    local status = C.tide_sandbox_enter_zygote(plan, support, keep, #(options.keep or {}))
    if status == 0 and options.worker then status = C.tide_sandbox_enter_worker(plan, support) end
    assert(status == 0 and anchor, "the sandbox is not entered: " .. ffi.string(C.tide_error()))
    local result = fn()
    if result == true or tonumber(result) >= 0 then return 0 end
    return ffi.errno()
  end)
  assert.is_nil(signal, text)
  assert(code ~= 99, text)
  return code ~= 0 and code or nil
end

local function opened(path, flags)
  return ffi.C.open(path, flags or RDONLY, ffi.cast("int", 384))
end

local folder, victim

-- What the zygote's rules refuse, and any user may do without them.
local refused = {
  ["starting a program"] = function()
    local arguments = ffi.new "char *[2]"
    arguments[0] = ffi.cast("char *", "true")
    return ffi.C.execve("/bin/true", arguments, ffi.new "char *[1]")
  end,
  ["a process by vfork or posix_spawn"] = function()
    local pid = call("clone", 0x4000 + 17) -- CLONE_VFORK and SIGCHLD
    if pid == 0 then ffi.C._exit(0) end
    return pid
  end,
  ["an internet socket"] = function() return ffi.C.socket(2, 1, 0) end,
  ["a UNIX socket"] = function() return ffi.C.socket(1, 1, 0) end,
  ["a pair of sockets"] = function() return ffi.C.socketpair(1, 2, 0, ffi.new "int[2]") end,
  ["a signal to another process"] = function() return ffi.C.kill(victim, 0) end,
  ["a signal to its parent"] = function() return ffi.C.kill(ffi.C.getppid(), 0) end,
  ["a signal by the owner of a descriptor"] = function() return ffi.C.fcntl(0, 8, ffi.cast("int", victim)) end,
  ["reading another's memory"] = function()
    return call("process_vm_readv", victim, zero, 0, zero, 0, 0)
  end,
  ["a descriptor of a process"] = function() return call("pidfd_open", victim, 0) end,
  ["another's limits"] = function() return ffi.C.prlimit(victim, 7, nil, ffi.new "unsigned long[2]") end,
  ["another's priority"] = function() return ffi.C.setpriority(0, victim, 19) end,
  ["another's processors"] = function() return ffi.C.sched_setaffinity(victim, 8, every) end,
  ["anonymous files"] = function() return ffi.C.memfd_create("x", 0) end,
  ["shared memory by a key"] = function() return call("shmget", 0, 4096, 0x380) end,
  ["another personality"] = function() return ffi.C.personality(0x0040000) end,
  ["undoing the death with its parent"] = function() return ffi.C.prctl(1, ffi.cast("long", 0)) end,
  ["no longer adopting orphans"] = function() return ffi.C.prctl(36, ffi.cast("long", 0)) end,
  ["a change of a file's mode"] = function() return ffi.C.chmod(folder .. "/outside", 420) end,
  ["a change of a file's size"] = function() return ffi.C.truncate(folder .. "/outside", 3) end,
  ["emptying a file that is opened for reading"] = function()
    return opened(folder .. "/allowed/file", RDONLY + TRUNC)
  end,
  ["reading other files"] = function() return opened(folder .. "/outside") end,
  ["writing other files"] = function() return opened(folder .. "/outside", WRONLY) end,
  ["writing files that it may read"] = function() return opened(folder .. "/allowed/file", WRONLY) end,
  ["making a file"] = function() return opened(folder .. "/allowed/new", WRONLY + CREAT) end,
  ["removing a file"] = function() return ffi.C.unlink(folder .. "/allowed/file") end,
  ["moving a file"] = function() return ffi.C.rename(folder .. "/allowed/file", folder .. "/allowed/moved") end,
  ["making a folder"] = function() return ffi.C.mkdir(folder .. "/allowed/folder", 448) end,
  ["reading the engine's environment"] = function() return opened(("/proc/%d/environ"):format(ffi.C.getppid())) end,
}

-- These need a privilege, or what not every machine has switched on, so they may be refused without the sandbox too.
local refused_to_root = {
  ["tracing another process"] = function() return call("ptrace", 0x4206, victim) end,
  ["comparing what processes have"] = function()
    return call("kcmp", victim, victim, 1)
  end,
  ["mounting"] = function() return ffi.C.mount("none", folder, "tmpfs", 0, nil) end,
  ["a namespace of its own"] = function() return ffi.C.unshare(0x10000000) end,
  ["another's namespace"] = function() return ffi.C.setns(opened "/proc/self/ns/uts", 0) end,
  ["another root"] = function() return ffi.C.chroot(folder) end,
  ["a program in the kernel"] = function() return call("bpf", 0, zero, 120) end,
  ["page faults of its own"] = function() return call("userfaultfd", 1) end,
  ["the keys of the kernel"] = function() return call("keyctl", 0, -3, 0) end,
  ["the counters of the processor"] = function()
    return call("perf_event_open", zero, 0, -1, -1, 0)
  end,
  ["a ring of system calls"] = function() return call("io_uring_setup", 4, zero) end,
  ["files by their handles"] = function() return call("open_by_handle_at", -100, zero, 0) end,
  ["a module of the kernel"] = function() return call("init_module", zero, 0, "") end,
}

-- What a worker may not, and the zygote may.
local refused_to_workers = {
  ["fork"] = function()
    local pid = ffi.C.fork()
    if pid == 0 then ffi.C._exit(0) end
    return pid
  end,
  ["its death with its parent in any way"] = function() return ffi.C.prctl(1, ffi.cast("long", 9)) end,
  ["a core file"] = function() return ffi.C.prctl(4, ffi.cast("long", 1)) end,
  ["its limits"] = function()
    local limit = ffi.new "unsigned long[2]"
    assert(ffi.C.prlimit(0, 7, nil, limit) == 0)
    return ffi.C.prlimit(0, 7, limit, nil)
  end,
}

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function has_landlock()
  local support = ffi.new "struct tide_sandbox_support"
  C.tide_sandbox_support(support)
  return support.landlock > 0
end

describe("the sandbox", function()
  local other

  before_each(function()
    folder = pipeline_file.folder()
    assert(ffi.C.mkdir(folder .. "/allowed", 448) == 0)
    write(folder .. "/allowed/file", "allowed")
    write(folder .. "/outside", "outside")
    other = child.start(function() ffi.C.pause() end)
    victim = other.pid
  end)

  after_each(function()
    child.stop_all()
    pipeline_file.remove_all()
  end)

  local function options(changes)
    local all = { read = { folder .. "/allowed", "/usr/lib", "/lib" } }
    for name, value in pairs(changes or {}) do all[name] = value end
    return all
  end

  for name, attempt in pairs(refused) do
    it("the sandbox refuses " .. name, function()
      if not has_landlock() and name:find "file" then return pending "this kernel has no Landlock" end
      local got = outcome(options(), attempt)
      assert.is_true(got == EPERM or got == EACCES, ("error %s"):format(got))
      local free = outcome(options { trust = "full" }, attempt)
      assert.is_nil(free)
    end)
  end

  for name, attempt in pairs(refused_to_root) do
    it("the sandbox refuses " .. name, function()
      assert.equal(EPERM, outcome(options(), attempt))
    end)
  end

  for name, attempt in pairs(refused_to_workers) do
    it("the sandbox refuses a worker " .. name, function()
      assert.equal(EPERM, outcome(options { worker = true }, attempt))
      assert.is_nil(outcome(options(), attempt))
    end)
  end

  it("the sandbox says that calls are not there whose flags it cannot see", function()
    local ENOSYS = 38
    for _, name in ipairs { "clone3", "openat2" } do
      assert.equal(ENOSYS, outcome(options(), function()
        return call(name, -100, zero, 88, 24)
      end))
    end
  end)

  it("the sandbox of a worker lets threads be", function()
    assert.is_nil(outcome(options { worker = true }, function()
      local thread = ffi.new "unsigned long[1]"
      local got = ffi.C.pthread_create(thread, nil, ffi.cast("void *(*)(void *)", ffi.C.getppid), nil)
      return got == 0 and ffi.C.pthread_join(thread[0], nil) == 0 and 0 or -1
    end))
  end)

  it("the sandbox lets LuaJIT compile", function()
    assert.is_nil(outcome(options { worker = true }, function()
      require("jit").flush()
      local sum = 0
      for i = 1, 1e5 do sum = sum + i end
      assert(require("jit").status() and sum == 5000050000)
      assert(require("jit.util").traceinfo(1), "nothing was compiled")
      return 0
    end))
  end)

  it("the sandbox lets a process read what it may read, and write what it may write", function()
    assert.is_nil(outcome(options { write = { folder } }, function()
      assert(io.open(folder .. "/allowed/file"):read "*a" == "allowed")
      write(folder .. "/new", "x")
      assert(os.rename(folder .. "/new", folder .. "/renamed"))
      return os.remove(folder .. "/renamed")
    end))
    assert.is_nil(outcome(options { write = { folder .. "/outside" } }, function()
      return opened(folder .. "/outside", WRONLY + TRUNC)
    end))
    assert.equal(EACCES, outcome(options { write = { folder .. "/outside" } }, function()
      return opened(folder .. "/allowed/file", WRONLY)
    end))
  end)

  it("the sandbox is not entered when what may be written is not there", function()
    local code, _, text = child.run(function()
      outcome(options { write = { folder .. "/missing" } }, function() return 0 end)
    end)
    assert.equal(99, code)
    assert.matches("files.write: .*/missing: No such file or directory; a file that does not exist yet", text)
  end)

  it("the sandbox with network has internet sockets and no other kind", function()
    for family, expected in pairs { [2] = false, [10] = false, [1] = EPERM, [16] = EPERM, [17] = EPERM } do
      local got = outcome(options { network = true }, function()
        local fd = ffi.C.socket(family, 1, 0)
        return family == 10 and fd < 0 and ffi.errno() == 97 and 0 or fd -- a machine without IPv6
      end)
      assert.equal(expected or nil, got)
    end
    assert.equal(EPERM, outcome(options { network = true }, function() return ffi.C.socket(2, 3, 1) end)) -- raw
  end)

  it("the sandbox leaves no variable of the environment but those named, in memory neither", function()
    ffi.C.setenv("TIDE_CANARY", "yellow-bird", 1)
    ffi.C.setenv("TIDE_NAMED", "named", 1)
    local text = ffi.C.getenv "TIDE_CANARY"
    assert.is_nil(outcome(options { env = { "TIDE_NAMED" } }, function()
      assert(ffi.C.getenv "TIDE_CANARY" == nil and ffi.C.getenv "PATH" == nil)
      assert(ffi.string(ffi.C.getenv "TIDE_NAMED") == "named")
      assert(ffi.string(text, 11) == ("\0"):rep(11))
      local own = io.open "/proc/self/environ"
      assert(not own or not own:read "*a":find "PATH=")
      return 0
    end))
    assert.is_nil(outcome(options { trust = "full" }, function()
      return ffi.string(ffi.C.getenv "TIDE_CANARY") == "yellow-bird" and 0 or -1
    end))
  end)

  it("the sandbox closes the descriptors that it was not told to keep", function()
    local file = assert(io.open(folder .. "/outside"))
    local fd = opened(folder .. "/allowed/file")
    finally(function()
      file:close()
      ffi.C.close(fd)
    end)
    local function open_ones()
      return ffi.C.fcntl(fd, 1) >= 0 and ffi.C.fcntl(fd - 1, 1) < 0 and 0 or -1
    end
    local EBADF = 9
    assert.is_nil(outcome(options { keep = { fd } }, open_ones))
    assert.equal(EBADF, outcome(options(), open_ones))
  end)

  it("the sandbox of a worker is closed to other workers", function()
    if not has_landlock() then return pending "this kernel has no Landlock" end
    for own, expected in pairs { [true] = EACCES, [false] = false } do
      assert.equal(expected or nil, outcome(options(), function()
        local plan = plan_of(options())
        local support = ffi.new "struct tide_sandbox_support"
        C.tide_sandbox_support(support)
        local line, life = ffi.new "int[2]", ffi.new "int[2]"
        assert(ffi.C.pipe(line) == 0 and ffi.C.pipe(life) == 0)
        local first = ffi.C.fork()
        if first == 0 then
          ffi.C.prctl(4, ffi.cast("long", 1)) -- dumpable, so that nothing but its layer protects it
          if own then C.tide_sandbox_files(plan, support.landlock, true) end
          ffi.C.write(line[1], "x", 1)
          ffi.C.close(life[1])
          ffi.C._exit(ffi.C.read(life[0], zero, 1)) -- when the other one has ended
        end
        assert(ffi.C.read(line[0], zero, 1) == 1)
        if own then C.tide_sandbox_files(plan, support.landlock, true) end
        return opened(("/proc/%d/mem"):format(first))
      end))
    end
  end)

  it("the sandbox has no capability to give back, nor any to get", function()
    assert.is_nil(outcome(options(), function()
      local status = io.open("/proc/self/status"):read "*a"
      for _, name in ipairs { "CapInh", "CapPrm", "CapEff", "CapAmb" } do
        assert(status:find(name .. ":%s+0000000000000000"), status)
      end
      assert(status:find "NoNewPrivs:%s+1" and status:find "Seccomp:%s+2", status)
      return 0
    end))
  end)

  it("the sandbox on a kernel without signals in Landlock lets nobody send any, not even to itself", function()
    if require("spec.support.program").build:find "faults" then return pending "fault points raise signals" end
    local function to_itself() return ffi.C.kill(ffi.C.getpid(), 0) end
    assert.equal(EPERM, outcome(options { landlock = OF_DEBIAN_12 }, to_itself))
    assert.equal(EPERM, outcome(options { landlock = OF_DEBIAN_12 }, refused["a signal to another process"]))
    assert.is_nil(outcome(options { trust = "full" }, to_itself))
  end)

  it("the sandbox on a kernel without Landlock lets nothing be written where nothing may be", function()
    for _, name in ipairs { "writing other files", "making a file", "removing a file", "moving a file",
      "making a folder", "a change of a file's size", "emptying a file that is opened for reading" } do
      assert.equal(EPERM, outcome(options { landlock = NO_LANDLOCK }, refused[name]), name)
    end
    assert.is_nil(outcome(options { landlock = NO_LANDLOCK }, refused["reading other files"]))
  end)

  it("the sandbox says what a kernel cannot keep, and hardened does not start there", function()
    local support = ffi.new("struct tide_sandbox_support", { true, 0 })
    local plan = plan_of {}
    assert.equal("this kernel has no Landlock: a transform may read all files that this user may, and look into other "
      .. "workers", ffi.string(C.tide_sandbox_gaps(support, plan)))
    assert.equal(C.TIDE_OK, C.tide_sandbox_check(support, plan))
    plan.trust = C.TIDE_TRUST_HARDENED
    assert.equal(C.TIDE_ECONFIG, C.tide_sandbox_check(support, plan))
    assert.matches('trust = "hardened" needs a kernel with Landlock', ffi.string(C.tide_error()))
    support.landlock = OF_DEBIAN_12
    assert.equal(C.TIDE_OK, C.tide_sandbox_check(support, plan))
    assert.is_true(C.tide_sandbox_gaps(support, plan) == nil)
    plan.trust, support.landlock = C.TIDE_TRUST_FULL, 0
    assert.is_true(C.tide_sandbox_gaps(support, plan) == nil)
  end)
end)
