-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local child = require "spec.support.child"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local workers = require "spec.support.workers"
local C = require("spec.support.headers").declare("proc/inside.h")

ffi.cdef [[
int setpgid(int pid, int group);
int getpgid(int pid);
int pause(void);
int pipe(int fds[2]);
long read(int fd, void *bytes, size_t count);
long write(int fd, const void *bytes, size_t count);
long ptrace(long request, int pid, void *address, void *data);
int sem_init(void *semaphore, int shared, unsigned value);
int sem_wait(void *semaphore);
int sem_post(void *semaphore);
int pthread_join(unsigned long thread, void **result);
int pthread_create(unsigned long *thread, const void *attributes, void *(*start)(void *), void *argument);
long readlink(const char *path, char *text, size_t size);
int mprotect(void *address, size_t length, int protection);
long recv(int fd, void *bytes, size_t size, int flags);
long send(int fd, const void *bytes, size_t size, int flags);
]]

local SIGHUP, SIGINT, SIGKILL, SIGTERM = 1, 2, 9, 15
local run

local function stop()
  if run then run:free() end
  run = nil
end

local WALL, WNOHANG = 0x40000000, 1
local traced -- a thread whose end is ours to look at

local function look_at_end()
  return ffi.C.waitpid(traced, nil, WALL + WNOHANG) ~= 0
end

local function end_all()
  stop()
  if traced then
    child.kill_all()
    wait.until_true(look_at_end, "the end of the traced thread")
    traced = nil
  end
  child.stop_all()
end

-- What is found at /proc/self/fd/<fd>.
local function target(fd)
  local text = ffi.new "char[256]"
  local length = ffi.C.readlink("/proc/self/fd/" .. fd, text, 256)
  return length > 0 and ffi.string(text, length) or ""
end

-- Runs `check` in a worker: it writes a number that is not 0 to say that all is well.
local function in_worker(check, options)
  options = options or {}
  options.check = function(job)
    local ok, result = xpcall(check, debug.traceback)
    if not ok then io.stderr:write(tostring(result), "\n") end
    C.tide_worker_publish(job.output, ok and tonumber(result) or 0, 0)
  end
  run = run or workers.start(options)
  local one = run:submit "check"
  assert.equal("done", run:finish(one))
  return tonumber(one.job.output.progress)
end

-- A pipe whose ends fork shares: say(), and hear(), which waits for what was said ("" when nobody is left to).
local function line()
  local fds = ffi.new "int[2]"
  assert(ffi.C.pipe(fds) == 0)
  local function say(text) ffi.C.write(fds[1], ("%-16s"):format(text), 16) end
  local function hear()
    local bytes = ffi.new "char[16]"
    return ffi.C.read(fds[0], bytes, 16) == 16 and ffi.string(bytes, 16):match "%S+" or ""
  end
  return say, hear, function() ffi.C.close(fds[1]) end
end

-- The number of the thread that is not the process itself.
local function other_thread()
  local list = assert(io.popen "ls /proc/$PPID/task")
  local own = ffi.C.getpid()
  for text in list:lines() do
    if tonumber(text) ~= own then return list:close() and text end
  end
end

local function state_of(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text:match "%) (%a)"
end

describe("the zygote", function()
  after_each(end_all)

  -- A thread that is traced stays in the list until its tracer has looked at its end, so it is there as long as wanted.
  it("the zygote waits for a thread that was joined and is still in the kernel's list", function()
    local PTRACE_SEIZE = 0x4206
    local say, hear, close = line()
    local go, wait_for_go = line()
    local forking = child.start(function()
      local semaphore, thread = ffi.new "char[64]", ffi.new "unsigned long[1]"
      assert(ffi.C.sem_init(semaphore, 0, 0) == 0)
      local wait_for = ffi.cast("void *(*)(void *)", ffi.C.sem_wait)
      assert(ffi.C.pthread_create(thread, nil, wait_for, semaphore) == 0)
      say(other_thread())
      wait_for_go()
      ffi.C.sem_post(semaphore)
      assert(ffi.C.pthread_join(thread[0], nil) == 0)
      assert(other_thread(), "the joined thread is not in the list, so this proves nothing")
      local zygote = C.tide_zygote_new(C.tide_loop_new(), 1)
      say "joined"
      local pid = C.tide_zygote_fork(zygote)
      if pid == 0 then ffi.C._exit(0) end
      assert(pid > 0, library.error())
      assert(not other_thread())
      C.tide_zygote_free(zygote)
    end)
    close()
    local thread = tonumber(hear())
    if ffi.C.ptrace(PTRACE_SEIZE, thread, nil, nil) ~= 0 then
      go "on"
      return pending "this machine does not let a process trace its child"
    end
    traced = thread
    go "on"
    assert.equal("joined", hear(), forking:stderr())
    -- It wakes again and again to look, so its state is read once.
    local state
    wait.until_true(function()
      state = state_of(forking.pid) or "Z"
      return state:find "[SZ]"
    end, "the process to wait")
    assert.equal("S", state, forking:stderr())
    wait.until_true(look_at_end, "the thread's end")
    traced = nil
    local code, _, text = forking:join()
    assert.equal(0, code, text)
  end)

  it("the zygote is not forked once the process has a second thread", function()
    local code, _, text = child.run(function()
      local thread = ffi.new "unsigned long[1]"
      assert(ffi.C.pthread_create(thread, nil, ffi.cast("void *(*)(void *)", ffi.C.pause), nil) == 0)
      local zygote = C.tide_zygote_new(C.tide_loop_new(), 1)
      assert(C.tide_zygote_fork(zygote) == C.TIDE_EINTERNAL)
      assert(library.error():find("2 threads", 1, true), library.error())
    end)
    assert.equal(0, code, text)
  end)

  it("the zygote tells that it has loaded", function()
    run = workers.new {}
    assert.equal(C.TIDE_OK, C.tide_zygote_wait_loaded(run.zygote, -1))
    assert.equal(run.pid, C.tide_zygote_pid(run.zygote))
  end)

  it("the zygote tells why it cannot load", function()
    local reason = "x.lua:3: no such word " .. ("y"):rep(5000)
    run = workers.new { load = function(self) C.tide_zygote_loaded(self.zygote, reason, false) end }
    assert.equal(C.TIDE_ECONFIG, C.tide_zygote_wait_loaded(run.zygote, -1))
    assert.equal(reason:sub(1, 2035), library.error())
  end)

  it("the zygote that dies while it loads is a failure", function()
    run = workers.new { load = function() C.tide_worker_exit(1) end }
    assert.equal(C.TIDE_ECONFIG, C.tide_zygote_wait_loaded(run.zygote, -1))
  end)

  it("the zygote that is lost is noticed, and takes its workers with it", function()
    run = workers.start { pools = { 2 } }
    local pids = { run:worker_pid(0), run:worker_pid(1) }
    ffi.C.kill(run.pid, SIGKILL)
    run:turn_until(function() return run.status < 0 end, "the loss")
    assert.equal(C.TIDE_ETEMPORARY, run.status)
    assert.truthy(library.error():find("zygote is lost", 1, true))
    for _, pid in ipairs(pids) do
      wait.until_true(function() return not process.alive(pid) end, "the end of a worker")
    end
    assert.equal(C.TIDE_ETEMPORARY, C.tide_zygote_send(run.zygote, C.TIDE_COMMAND_SPAWN, 0, 1))
  end)

  it("the zygote ends with its workers when it is freed", function()
    run = workers.start { pools = { 2 } }
    local pids = { run.pid, run:worker_pid(0), run:worker_pid(1) }
    stop()
    assert.is_false(process.alive(pids[1]))
    for _, pid in ipairs(pids) do
      wait.until_true(function() return not process.alive(pid) end, "the end of a process")
    end
    C.tide_zygote_free(nil)
  end)

  it("the zygote names a worker, which the engine holds as long as it lives", function()
    run = workers.start()
    local pid = run:worker_pid(0)
    local hold = C.tide_zygote_hold(run.zygote, pid)
    assert.is_true(hold >= 0)
    C.tide_zygote_kill(run.zygote, hold, 0, 1)
    run:turn_until(function() return run:worker_pid(0) ~= 0 and run:worker_pid(0) ~= pid end, "another one")
    C.tide_zygote_kill(run.zygote, hold, 0, 1) -- it is gone, so this reaches nobody
    assert.equal(C.TIDE_HOLD_NONE, C.tide_zygote_hold(run.zygote, pid))
    assert.equal("done", run:finish(run:submit "ok"))
    ffi.C.close(hold)
  end)

  it("the zygote is not believed when it names a process that is not its child", function()
    local victim = child.start(function() ffi.C.pause() end)
    run = workers.new { load = function(self)
      C.tide_zygote_loaded(self.zygote, nil, false)
      local command, event = ffi.new "struct tide_zygote_command", ffi.new "struct tide_zygote_event"
      local own, other, fds, count = self.zygote, victim.pid, ffi.new "int[253]", ffi.new "uint32_t[1]"
      assert(C.tide_descriptors_receive(own.zygote_end, command, ffi.sizeof(command), 0, fds, count) > 0)
      event.kind, event.worker, event.generation, event.pid = C.TIDE_ZYGOTE_SPAWNED, 0, command.generation, other
      ffi.C.send(own.zygote_end, event, ffi.sizeof(event), 0)
      local hello = ffi.new("struct tide_hello", { command.generation, C.TIDE_HELLO_READY })
      ffi.C.send(fds[0], hello, ffi.sizeof(hello), 0)
      while true do wait.pause(1000) end
    end }
    assert.equal(C.TIDE_OK, C.tide_zygote_wait_loaded(run.zygote, -1))
    assert.equal(C.TIDE_HOLD_FOREIGN, C.tide_zygote_hold(run.zygote, victim.pid))
    C.tide_pool_limit(run.pools[1], 100000)
    assert.equal(C.TIDE_OK, C.tide_pool_start(run.pools[1]))
    local one = run:submit "ok"
    run:turn_until(function() return one.job.output ~= nil end, "its block")
    one.job.output.running = C.TIDE_RUNNING_ONE -- as the worker would say that hangs
    run:turn_until(function() return run.status < 0 end, "the refusal to kill it")
    assert.equal(C.TIDE_ETEMPORARY, run.status)
    assert.matches("process " .. victim.pid .. ", which the zygote has named, is not seen", library.error())
    assert.is_true(process.alive(victim.pid))
  end)

  it("the zygote leaves no descriptor behind in the engine", function()
    local function count()
      local used = 0
      for fd = 0, 200 do used = used + (target(fd) ~= "" and 1 or 0) end
      return used
    end
    run = workers.start() -- the first one of a process opens what stays open
    stop()
    local before = count()
    run = workers.start { pools = { 3 } }
    stop()
    assert.equal(before, count())
  end)
end)

-- An engine in a process group of its own, with two workers; pids[0] is the zygote.
local function engine(shared, before_loop)
  return child.start(function()
    ffi.C.setpgid(0, 0)
    local own = workers.start { pools = { 2 }, shared = shared }
    shared.pids[1], shared.pids[2] = own:worker_pid(0), own:worker_pid(1)
    if before_loop then before_loop(own) end
    shared.pids[0] = own.pid
    while true do
      own:turn()
      if shared.gate == 1 then
        local ok = own:finish(own:submit "ok") == "done" and own:finish(own:submit "ok") == "done"
        local same = own:worker_pid(0) == shared.pids[1] and own:worker_pid(1) == shared.pids[2]
        own:free()
        return ok and same and 0 or 1
      end
    end
  end)
end

describe("a signal", function()
  after_each(end_all)

  for name, number in pairs { INT = SIGINT, TERM = SIGTERM, HUP = SIGHUP } do
    it("a signal " .. name .. " to the whole group ends neither zygote nor worker", function()
      local shared = workers.shared()
      -- the engine of this spec ignores it after the fork, so that zygote and workers do not inherit that
      local one = engine(shared, function() ffi.C.signal(number, ffi.cast("void (*)(int)", 1)) end)
      wait.until_true(function() return shared.pids[0] ~= 0 end, "the workers")
      assert.equal(one.pid, ffi.C.getpgid(shared.pids[0]))
      assert.equal(0, ffi.C.kill(-one.pid, number))
      -- outside of the sandbox workers have groups of their own
      for i = 1, 2 do assert.equal(0, ffi.C.kill(shared.pids[i], number)) end
      shared.gate = 1
      local code, signal, text = one:join()
      assert.same({ 0, nil }, { code, signal }, text)
    end)
  end

  it("a signal KILL to the engine leaves no zygote and no worker", function()
    local shared = workers.shared()
    local one = engine(shared)
    wait.until_true(function() return shared.pids[0] ~= 0 end, "the workers")
    one:kill(SIGKILL)
    for i = 0, 2 do
      wait.until_true(function() return not process.alive(shared.pids[i]) end, "the end of process " .. i)
    end
  end)

  it("a signal KILL to the engine ends a worker that is stuck in user code", function()
    local shared = workers.shared()
    local one = engine(shared, function(own) own:submit("wait", { number = 1000 }) end)
    wait.until_true(function() return shared.pids[0] ~= 0 and shared.count == 1 end, "the work")
    one:kill(SIGKILL)
    for i = 0, 2 do
      wait.until_true(function() return not process.alive(shared.pids[i]) end, "the end of process " .. i)
    end
  end)
end)

describe("a worker", function()
  after_each(end_all)

  it("a worker sees inputs read-only, writes outputs, and has a descriptor of neither", function()
    local input, output = C.tide_block_new(4096), C.tide_block_new(4096)
    output.worker = 0
    input.data[0] = 5
    local seen = in_worker(function()
      assert(input.data[0] == 5)
      assert(ffi.C.mprotect(input.data, 4096, 3) == -1)
      output.data[0] = 6
      for fd = 0, 200 do assert(not target(fd):find("tidemill-block", 1, true)) end
      return 1
    end, { blocks = { input, output } })
    assert.equal(1, seen)
    assert.equal(6, output.data[0])
    C.tide_block_free(input)
    C.tide_block_free(output)
  end)

  it("a worker that writes to an input dies by SIGSEGV, and the engine's bytes stay", function()
    local input = C.tide_block_new(4096)
    input.data[0] = 5
    run = workers.start { blocks = { input }, check = function()
      ffi.C.signal(11, nil)
      input.data[0] = 7
    end }
    local one = run:submit "check"
    assert.equal("lost", run:finish(one))
    assert.equal(11, one.death % 128)
    assert.equal(5, input.data[0])
    C.tide_block_free(input)
  end)

  it("a worker writes what it prints to standard error, and reads nothing", function()
    local code, _, text = child.run(function()
      assert(target(1) ~= target(2)) -- of the engine
      local seen = in_worker(function()
        assert(target(1) == target(2), target(1))
        assert(target(0) == "/dev/null")
        assert(io.stdin:read(1) == nil)
        return 1
      end)
      stop()
      return seen - 1
    end)
    assert.equal(0, code, text)
  end)

  it("a worker may run programs of its own", function()
    assert.equal(1, in_worker(function()
      local pipe = io.popen "echo moon"
      assert(pipe:read "*l" == "moon")
      assert(pipe:close())
      return 1
    end))
  end)

  it("a worker has random bits of its own", function()
    local seeds = {}
    local one = in_worker(C.tide_worker_seed)
    for _ = 1, 3 do seeds[in_worker(C.tide_worker_seed)] = true end
    assert.is_nil(seeds[one])
  end)

  it("a worker has its own socket and nobody else's", function()
    local sockets = in_worker(function()
      local count = 0
      for fd = 3, 200 do count = count + (target(fd):find "^socket:" and 1 or 0) end
      return count + 100
    end, { pools = { 3 } })
    local ours = 0
    for fd = 3, 200 do ours = ours + (target(fd):find "^socket:" and 1 or 0) end
    -- the engine has seven: one for the zygote and two for each slot; a worker has all others that are open here
    assert.equal(ours - 7 + 1, sockets - 100)
  end)
end)
