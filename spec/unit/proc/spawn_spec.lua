-- SPDX-License-Identifier: MIT
-- What a worker is given at its spawn (proc/spawn.c), and that its zygote has nothing of it.
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local files = require "spec.house.files"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local workers = require "spec.support.workers"
local C = require("spec.support.headers").declare("proc/inside.h")

ffi.cdef [[
long readlink(const char *path, char *text, size_t size);
int dup(int fd);
int pthread_create(unsigned long *thread, const void *attributes, void *(*start)(void *), void *argument);
int system(const char *command);
]]

describe("what a worker has of the engine", function()
  local run

  after_each(function()
    if run then run:free() end
    run = nil
  end)

  -- Of this process, by what it leads to; the standard ones are its log.
  local function open_files()
    local all, text = {}, ffi.new "char[256]"
    for fd = 3, 1023 do
      local length = ffi.C.readlink("/proc/self/fd/" .. fd, text, 256)
      if length > 0 then all[ffi.string(text, length)] = fd end
    end
    return all
  end

  it("what a worker has of the engine is not there while a zygote loads", function()
    local before = open_files()
    run = workers.new { pools = { 3 }, load = function(self)
      for name, fd in pairs(open_files()) do
        local is_new = not before[name] and (name:find "^socket:" or name:find "^pipe:" or name:find "tidemill%-block")
        assert(not is_new or fd == self.zygote.zygote_end, name)
      end
      for mapping in io.lines "/proc/self/maps" do
        assert(not (mapping:find("tidemill-block", 1, true) and mapping:find(" .w")), mapping)
      end
    end }
    assert.equal(C.TIDE_OK, C.tide_zygote_wait_loaded(run.zygote, -1), library.error())
  end)

  it("what a worker has of the engine stays open in no zygote", function()
    run = workers.new {}
    assert.equal(C.TIDE_OK, C.tide_zygote_wait_loaded(run.zygote, -1))
    local function count()
      local list = assert(io.popen(("ls /proc/%d/fd"):format(run.pid)))
      local text = list:read "*a"
      list:close()
      return select(2, text:gsub("\n", ""))
    end
    local loaded, pid = count(), 0
    assert.is_true(loaded > 3)
    assert.equal(C.TIDE_OK, C.tide_pool_start(run.pools[1]))
    for _ = 1, 3 do
      run:turn_until(function() return run:worker_pid(0) ~= pid and run:worker_pid(0) ~= 0 end, "another worker")
      pid = run:worker_pid(0)
      process.kill(pid)
    end
    run:turn_until(function() return count() == loaded end, "as many open files as before")
  end)

  it("what a worker has of the engine takes no place of a standard file that is closed", function()
    run = workers.new { load = function() for fd = 0, 2 do ffi.C.close(fd) end end,
      start = function(self) self.shared.gate = self.zygote.own end }
    assert.equal(C.TIDE_OK, C.tide_zygote_wait_loaded(run.zygote, -1))
    assert.equal(C.TIDE_OK, C.tide_pool_start(run.pools[1]))
    run:until_alive()
    assert.equal("done", run:finish(run:submit "ok"))
    assert.is_true(run.shared.gate > 2, run.shared.gate)
  end)

  it("what a worker has of the engine does not come to a zygote that has too many files open", function()
    run = workers.new { load = function() while ffi.C.dup(2) >= 0 do end end }
    assert.equal(C.TIDE_OK, C.tide_zygote_wait_loaded(run.zygote, -1))
    assert.equal(C.TIDE_OK, C.tide_pool_start(run.pools[1]))
    run:turn_until(function() return run.status < 0 end, "the pool to give up")
    assert.equal("worker 0 died 5 times in a row before it was ready", library.error())
  end)
end)

describe("what a zygote has forked", function()
  it("what a zygote has forked by a thread is killed with it", function()
    local path = os.tmpname()
    local function pid_of() return tonumber((files.read(path))) end
    local run = workers.new { load = function()
      local command = ffi.cast("void *", ("echo $$ > %s; exec sleep 300"):format(path))
      ffi.C.pthread_create(ffi.new "unsigned long[1]", nil, ffi.cast("void *(*)(void *)", ffi.C.system), command)
      wait.until_true(pid_of, "the process")
    end }
    assert.equal(C.TIDE_ECONFIG, C.tide_zygote_wait_loaded(run.zygote, -1))
    assert.matches("left a process running", library.error())
    local pid = pid_of()
    os.remove(path)
    wait.until_true(function() return not process.alive(pid) end, "its end")
    wait.until_true(function() return not files.read(("/proc/%d/stat"):format(run.pid)):find "%) T" end,
      "the zygote to go on, so that it sees the end of its socket")
    run:free()
  end)
end)
