-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local C = require("spec.support.headers").declare("shm/block.h")
local child = require "spec.support.child"
local wait = require "spec.support.wait"

ffi.cdef [[
int ftruncate(int fd, long length);
int fcntl(int fd, int command, ...);
int mprotect(void *address, size_t length, int protection);
long readlink(const char *path, char *text, size_t size);
int memfd_create(const char *name, unsigned flags);
void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset);
]]

local MIB, PAGE = 1024 * 1024, 4096
local SIGBUS, SIGSEGV, EPERM, EACCES, PROT_READ_WRITE = 7, 11, 1, 13, 3
local F_DUPFD, F_GETFD, F_ADD_SEALS, F_SEAL_WRITE = 0, 1, 1033, 8
local block

local function new(max)
  return ffi.gc(C.tide_block_new(max), C.tide_block_free)
end

local function fill(from, to)
  ffi.fill(block.data + from, to - from, 0x55)
  block.touched = math.max(tonumber(block.touched), to)
end

local function memory()
  return tonumber(C.tide_block_memory(block))
end

-- What a descriptor of this process leads to.
local function target_of(fd)
  local target = ffi.new("char[256]")
  local length = ffi.C.readlink("/proc/self/fd/" .. fd, target, 256)
  return length > 0 and ffi.string(target, length) or ""
end

-- Descriptors of this process that lead to a block.
local function descriptors()
  local count = 0
  for fd = 0, 1023 do
    if target_of(fd):find("tidemill-block", 1, true) then count = count + 1 end
  end
  return count
end

describe("a block", function()
  after_each(function()
    child.stop_all()
    block = nil
    collectgarbage()
  end)

  it("a block has all of its bytes, zeroed, and 64 readable ones behind them", function()
    for _, max in ipairs { 1, PAGE - 64, PAGE - 63, PAGE, MIB } do
      block = new(max)
      assert.equal(max, tonumber(block.max))
      assert.equal(("\0"):rep(max + C.TIDE_BLOCK_TAIL), ffi.string(block.data, max + C.TIDE_BLOCK_TAIL))
    end
  end)

  it("a block takes no memory until it is touched, however large it may become", function()
    block = new(1024 * MIB)
    assert.equal(0, memory())
    fill(0, 3 * PAGE)
    assert.equal(3 * PAGE, memory())
  end)

  it("a block gives back what lies beyond the size it is trimmed to, and keeps the rest and its address", function()
    block = new(64 * MIB)
    local address = block.data
    fill(0, 8 * MIB)
    assert.equal(8 * MIB, memory())
    C.tide_block_trim(block, MIB)
    assert.is_true(memory() <= MIB + PAGE)
    assert.equal(address, block.data)
    assert.equal(("\x55"):rep(MIB), ffi.string(block.data, MIB))
    assert.equal(0, block.data[2 * MIB])
    fill(0, 8 * MIB)
    assert.equal(8 * MIB, memory())
  end)

  it("a block is left alone by a trim when nothing beyond was touched", function()
    block = new(64 * MIB)
    fill(0, MIB)
    C.tide_block_trim(block, MIB)
    C.tide_block_trim(block, 64 * MIB)
    assert.equal(MIB, memory())
  end)

  it("a block can neither shrink, nor grow, nor take another seal", function()
    block = new(MIB)
    for _, size in ipairs { 0, PAGE, 64 * MIB } do
      assert.equal(-1, ffi.C.ftruncate(block.fd, size))
      assert.equal(EPERM, ffi.errno())
    end
    assert.equal(-1, ffi.C.fcntl(block.fd, F_ADD_SEALS, ffi.cast("int", F_SEAL_WRITE)))
    assert.equal(EPERM, ffi.errno())
  end)

  it("a block whose memory is lost ends the engine with 75 and a text, in place of a SIGBUS", function()
    local function lose(more)
      return child.run(function()
        if more then C.tide_block_end_on_loss() end
        local fd = ffi.C.memfd_create("x", 0)
        assert(ffi.C.ftruncate(fd, PAGE) == 0)
        local at = ffi.cast("volatile char *", ffi.C.mmap(nil, PAGE, 1, 1, fd, 0))
        assert(ffi.C.ftruncate(fd, 0) == 0) -- what no block lets be done to it
        return at[0]
      end)
    end
    local code, signal, text = lose(true)
    assert.same({ -C.TIDE_ETEMPORARY, nil }, { code, signal })
    assert.matches("a page of memory cannot be had", text)
    code, signal = lose(false)
    assert.same({ nil, SIGBUS }, { code, signal })
  end)

  it("a block has no name in /dev/shm, and its descriptor does not survive an exec", function()
    block = new(MIB)
    -- The folder itself says nothing: other programs of this machine make files there as well.
    assert.matches("^/memfd:tidemill%-block", target_of(block.fd))
    for line in io.lines "/proc/self/maps" do assert.is_nil(line:find("/dev/shm", 1, true), line) end
    assert.equal(1, ffi.C.fcntl(block.fd, F_GETFD))
  end)

  it("a block leaves no descriptor when it is freed, and a NULL is fine", function()
    local before = descriptors()
    C.tide_block_free(C.tide_block_new(MIB))
    C.tide_block_free(nil)
    assert.equal(before, descriptors())
  end)

  it("a block that is too large is a failure that names the size", function()
    local made = C.tide_block_new(2 ^ 62)
    assert.is_true(made == nil)
    assert.truthy(library.error():find("4611686018427387904 bytes", 1, true))
  end)
end)

describe("a block made read-only", function()
  before_each(function() block = new(MIB) end)
  after_each(child.stop_all)

  it("a block made read-only ends by SIGSEGV a worker that writes to it", function()
    local code, signal = child.run(function()
      assert(C.tide_block_make_read_only(block) == C.TIDE_OK)
      block.data[0] = 1
    end)
    assert.is_nil(code)
    assert.equal(SIGSEGV, signal)
    assert.equal(0, block.data[0])
  end)

  it("a block made read-only cannot be made writable again", function()
    local code = child.run(function()
      C.tide_block_make_read_only(block)
      assert(ffi.C.mprotect(block.data, PAGE, PROT_READ_WRITE) == -1)
      return ffi.errno()
    end)
    assert.equal(EACCES, code)
  end)

  it("a block made read-only has lost its descriptor, so that nobody can map it anew", function()
    local code, _, text = child.run(function()
      local before = descriptors()
      C.tide_block_make_read_only(block)
      assert(block.fd == -1 and before - descriptors() == 1)
    end)
    assert.equal(0, code, text)
  end)

  it("a block made read-only shows at the same address what the engine writes later, the tail too", function()
    local address = block.data
    local worker = child.start(function()
      C.tide_block_make_read_only(block)
      assert(block.data == address)
      wait.until_true(function() return block.data[0] == 7 end, "the engine's byte")
      return block.data[MIB + C.TIDE_BLOCK_TAIL - 1]
    end)
    block.data[0] = 7
    assert.equal(0, (worker:join()))
  end)

  it("a block made read-only is still the engine's to write and to trim", function()
    child.run(function() C.tide_block_make_read_only(block) end)
    fill(0, MIB)
    C.tide_block_trim(block, 0)
    assert.is_true(memory() <= PAGE)
  end)
end)

describe("a block of a worker slot", function()
  after_each(child.stop_all)

  it("a block that is reserved has no descriptor, and its bytes cannot be touched", function()
    block = new(MIB)
    local code, _, text = child.run(function()
      local before = descriptors()
      assert(C.tide_block_reserve(block) == 0)
      assert(block.fd == -1 and descriptors() == before - 1)
      assert(C.tide_block_reserve(block) == 0) -- again is fine
      assert(ffi.C.mprotect(block.data, MIB, PROT_READ_WRITE) == 0)
      block.data[5] = 42 -- a page of its own
    end)
    assert.equal(0, code, text)
    assert.equal(0, block.data[5])
    local _, signal = child.run(function()
      C.tide_block_reserve(block)
      block.data[5] = 42
    end)
    assert.equal(SIGSEGV, signal)
  end)

  it("a block that is mapped again can be written by the worker", function()
    block = new(MIB)
    local address = block.data
    local code, _, text = child.run(function()
      local fd = ffi.C.fcntl(block.fd, F_DUPFD, ffi.cast("int", 100))
      assert(C.tide_block_reserve(block) == 0)
      assert(C.tide_block_map(block, fd) == 0 and block.data == address)
      block.data[5] = 42
    end)
    assert.equal(0, code, text)
    assert.equal(42, block.data[5])
  end)

  it("a block that cannot be mapped again is a failure", function()
    block = new(MIB)
    local code, _, text = child.run(function()
      assert(C.tide_block_reserve(block) == 0)
      assert(C.tide_block_map(block, -1) < 0)
    end)
    assert.equal(0, code, text)
  end)
end)
