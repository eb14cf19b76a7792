-- SPDX-License-Identifier: MIT
-- What a worker has mapped of the engine's memory: its own output blocks and its own row of script metrics to write,
-- the inputs and the topic names to read, and nothing of its neighbours. Whatever it calls, that stays so.
local ffi = require "ffi"
local tide = require "tidemill"
local testing = require "tidemill.testing"
local liar = require "spec.support.liar"
require "spec.support.child" -- declares open, close, getpid

pcall(ffi.cdef, "int mprotect(void *address, size_t length, int protection);")
pcall(ffi.cdef, "void *mremap(void *address, size_t before, size_t size, int flags, ...);")
pcall(ffi.cdef, "void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset);")
pcall(ffi.cdef, "long pread(int fd, void *bytes, size_t count, long offset);")
pcall(ffi.cdef, "long pwrite(int fd, const void *bytes, size_t count, long offset);")
pcall(ffi.cdef, "long readlink(const char *path, char *text, size_t size);")

local O_RDWR, READ_WRITE, SHARED, MAYMOVE, FIXED, PAGE = 2, 3, 1, 1, 2, 4096
local MAP_FAILED = ffi.cast("void *", -1)

-- The mapping that holds an address.
local function mapping_of(address)
  local at = tonumber(ffi.cast("uintptr_t", address))
  for _, range in ipairs(liar.mappings()) do
    if at >= range.first and at < range.last then return range end
  end
end

describe("a worker's memory", function()
  local test

  after_each(function()
    if test then test:close() end
    test = nil
  end)

  -- The answers of `fn`, run at messages "1" .. in two workers; an error is a dead letter, and fails the spec.
  local function ask(count, fn)
    test = testing.steps { tide.run_task_with_multiprocessing { fn, processes = 2, max_batch_size = 1 } }
    local values = {}
    for i = 1, count do values[i] = tostring(i) end
    test:feed(unpack(values)):finish()
    local rejects = test:rejects()
    assert.equal(0, #rejects, rejects[1] and rejects[1].error)
    return test:values()
  end

  it("a worker's memory has one row of script metrics and the output blocks of one slot to write", function()
    for _, value in ipairs(ask(20, function()
      local count, own = 0, mapping_of(liar.found("job").output)
      for _, range in ipairs(liar.mappings()) do count = count + (range.writable and 1 or 0) end
      assert(own and own.writable)
      return tostring(count)
    end)) do
      assert.equal("2", value)
    end
  end)

  it("a worker's memory is another for each worker, where it can be written", function()
    local owners = {}
    for _, value in ipairs(ask(40, function()
      liar.pause(1) -- so that both have some
      return ("%d %.0f"):format(ffi.C.getpid(), mapping_of(liar.found("job").output).first)
    end)) do
      local pid, first = value:match "(%d+) (%d+)"
      assert.is_true(owners[first] == nil or owners[first] == pid, "two workers write to the same memory")
      owners[first] = pid
    end
  end)

  it("a worker's memory ends where its mapping does, however large it makes that", function()
    for _, value in ipairs(ask(2, function()
      local own = mapping_of(liar.found("job").output)
      local size = own.last - own.first
      local larger = ffi.C.mremap(ffi.cast("void *", own.first), size, size + 64 * PAGE, ffi.cast("int", MAYMOVE))
      assert(larger ~= MAP_FAILED)
      -- What lies behind is not there: the kernel cannot read it for a system call.
      local fd = ffi.C.open("/proc/self/mem", O_RDWR)
      local bytes = ffi.C.pread(fd, ffi.new "char[1]", 1, tonumber(ffi.cast("uintptr_t", larger)) + size) == 1
      ffi.C.close(fd)
      local there = larger == ffi.cast("void *", own.first) -- it has grown where it was
      assert(ffi.C.mremap(larger, size + 64 * PAGE, size, ffi.cast("int", there and 0 or MAYMOVE + FIXED),
        ffi.cast("void *", own.first)) ~= MAP_FAILED)
      return bytes and "something" or "nothing"
    end)) do
      assert.equal("nothing", value)
    end
  end)


  -- Each tries to make the record's first byte another one.
  local attempts = {
    mprotect = function(at)
      local page = ffi.cast("void *", at - at % PAGE)
      return ffi.C.mprotect(page, PAGE, READ_WRITE) == 0
    end,
    ["mprotect of a moved mapping"] = function(at)
      local range = mapping_of(ffi.cast("void *", at))
      local moved = ffi.C.mremap(ffi.cast("void *", range.first), 0, range.last - range.first, ffi.cast("int", MAYMOVE))
      return moved ~= MAP_FAILED and ffi.C.mprotect(moved, PAGE, READ_WRITE) == 0
    end,
    ["/proc/self/mem"] = function(at)
      local fd = ffi.C.open("/proc/self/mem", O_RDWR)
      local written = fd >= 0 and ffi.C.pwrite(fd, "\255", 1, at) or -1
      if fd >= 0 then ffi.C.close(fd) end
      return written == 1
    end,
    ["/proc/self/map_files"] = function(at)
      local range = mapping_of(ffi.cast("void *", at))
      local fd = ffi.C.open(("/proc/self/map_files/%x-%x"):format(range.first, range.last), O_RDWR)
      if fd < 0 then return false end
      return ffi.C.mmap(nil, PAGE, READ_WRITE, SHARED, fd, 0) ~= MAP_FAILED
    end,
    ["a descriptor of its own"] = function()
      local target = ffi.new "char[256]"
      for fd = 0, 200 do
        local length = ffi.C.readlink("/proc/self/fd/" .. fd, target, 256)
        if length > 0 and ffi.string(target, length):find("tidemill-block", 1, true) then return true end
      end
      return false
    end,
  }
  for name, attempt in pairs(attempts) do
    it("a worker's memory of the inputs stays read-only, whatever it calls: " .. name, function()
      for _, value in ipairs(ask(4, function()
        local at = tonumber(ffi.cast("uintptr_t", liar.found("job").record))
        return attempt(at) and "written" or "refused"
      end)) do
        assert.equal("refused", value)
      end
    end)
  end

  it("a worker's memory of the topic names stays read-only", function()
    for _, value in ipairs(ask(2, function()
      local writable = 0
      for _, range in ipairs(liar.mappings()) do
        if not range.writable then
          local size = range.last - range.first
          if ffi.C.mprotect(ffi.cast("void *", range.first), size, READ_WRITE) == 0 then writable = writable + 1 end
        end
      end
      return tostring(writable)
    end)) do
      assert.equal("0", value)
    end
  end)
end)
