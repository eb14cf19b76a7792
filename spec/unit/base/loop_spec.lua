-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local C = require("spec.support.headers").declare("base/loop.h")
local child = require "spec.support.child"
local wait = require "spec.support.wait"

ffi.cdef [[
int pipe(int ends[2]);
long write(int fd, const void *bytes, size_t size);
long read(int fd, void *bytes, size_t size);
int fcntl(int fd, int command, ...);
]]

local F_GETFD = 1
local loop, callbacks, fds

local function pipe()
  local ends = ffi.new("int[2]")
  assert.equal(0, ffi.C.pipe(ends))
  fds[#fds + 1], fds[#fds + 2] = ends[0], ends[1]
  return ends[0], ends[1]
end

local function put(fd, text)
  assert.equal(#text, tonumber(ffi.C.write(fd, text, #text)))
end

local function get(fd)
  local bytes = ffi.new("char[16]")
  return ffi.string(bytes, ffi.C.read(fd, bytes, 16))
end

local function ready(fn)
  local callback = ffi.cast("tide_ready", fn)
  callbacks[#callbacks + 1] = callback
  return callback
end

local function turn(timeout_us)
  return C.tide_loop_wait(loop, timeout_us or 0)
end
jit.off(turn) -- it calls back into Lua

local function wake(fd)
  ffi.C.write(fd, ffi.new("uint64_t[1]", 1), 8)
end

local function open(fd)
  return ffi.C.fcntl(fd, F_GETFD) >= 0
end

describe("the loop", function()
  before_each(function()
    callbacks, fds = {}, {}
    loop = C.tide_loop_new()
  end)
  after_each(function()
    C.tide_loop_free(loop)
    for _, callback in ipairs(callbacks) do callback:free() end
    for _, fd in ipairs(fds) do ffi.C.close(fd) end
    child.stop_all()
  end)

  it("the loop calls what is ready and returns how many", function()
    local first, first_end = pipe()
    local second, second_end = pipe()
    local called = {}
    C.tide_loop_watch(loop, first, ready(function() called[#called + 1] = get(first) end), nil)
    C.tide_loop_watch(loop, second, ready(function() called[#called + 1] = get(second) end), nil)
    assert.equal(0, turn())
    put(second_end, "b")
    assert.equal(1, turn())
    put(first_end, "a")
    put(second_end, "c")
    assert.equal(2, turn())
    table.sort(called)
    assert.same({ "a", "b", "c" }, called)
  end)

  it("the loop hands over the context", function()
    local fd, fd_end = pipe()
    local cell, seen = ffi.new("int[1]", 42), nil
    C.tide_loop_watch(loop, fd, ready(function(context) seen = ffi.cast("int *", context)[0] end), cell)
    put(fd_end, "x")
    turn()
    assert.equal(42, seen)
  end)

  it("the loop calls again as long as something is there to read", function()
    local fd, fd_end = pipe()
    local count = 0
    C.tide_loop_watch(loop, fd, ready(function() count = count + 1 end), nil)
    put(fd_end, "x")
    turn()
    turn()
    assert.equal(2, count)
    get(fd)
    turn()
    assert.equal(2, count)
  end)

  it("the loop counts what has no function to call", function()
    local fd, fd_end = pipe()
    C.tide_loop_watch(loop, fd, nil, nil)
    put(fd_end, "x")
    assert.equal(1, turn())
  end)

  it("the loop forgets what is unwatched and leaves it open", function()
    local fd, fd_end = pipe()
    C.tide_loop_watch(loop, fd, nil, nil)
    put(fd_end, "x")
    C.tide_loop_unwatch(loop, fd)
    assert.equal(0, turn())
    assert.equal("x", get(fd))
    assert.equal(C.TIDE_OK, C.tide_loop_watch(loop, fd, nil, nil))
  end)

  it("the loop does not call what was unwatched by another one of the same wait", function()
    local first, first_end = pipe()
    local second, second_end = pipe()
    local calls = 0
    local function drop()
      calls = calls + 1
      C.tide_loop_unwatch(loop, first)
      C.tide_loop_unwatch(loop, second)
    end
    C.tide_loop_watch(loop, first, ready(drop), nil)
    C.tide_loop_watch(loop, second, ready(drop), nil)
    put(first_end, "x")
    put(second_end, "x")
    turn()
    assert.equal(1, calls)
    assert.equal(0, turn())
  end)

  it("the loop refuses what cannot be watched, with a text", function()
    assert.equal(C.TIDE_EINTERNAL, C.tide_loop_watch(loop, -1, nil, nil))
    assert.truthy(ffi.string(C.tide_error()):find("epoll", 1, true))
  end)

  it("the loop waits no longer than asked, and no shorter", function()
    local before = wait.now()
    assert.equal(0, turn(30000))
    local took = wait.now() - before
    assert.is_true(took >= 0.029 and took < 30, took)
  end)

  it("the loop wakes early from another process's write", function()
    local fd, fd_end = pipe()
    C.tide_loop_watch(loop, fd, nil, nil)
    local writer = child.start(function() put(fd_end, "x") end)
    assert.equal(1, turn(600e6)) -- it wakes, or the file runs out of its time
    assert.equal(0, (writer:join()))
  end)
end)

describe("a waker", function()
  before_each(function()
    callbacks, fds = {}, {}
    loop = C.tide_loop_new()
  end)
  after_each(function()
    C.tide_loop_free(loop)
    for _, callback in ipairs(callbacks) do callback:free() end
  end)

  it("a waker is emptied by the loop: many wakes are one call", function()
    local count = 0
    local fd = C.tide_loop_waker(loop, ready(function() count = count + 1 end), nil)
    wake(fd)
    wake(fd)
    assert.equal(1, turn())
    assert.equal(0, turn())
    wake(fd)
    turn()
    assert.equal(2, count)
  end)

  it("a waker needs no function", function()
    local fd = C.tide_loop_waker(loop, nil, nil)
    wake(fd)
    assert.equal(1, turn())
    assert.equal(0, turn())
  end)

  it("a waker is closed when it is unwatched, and with the loop", function()
    local one, two = C.tide_loop_waker(loop, nil, nil), C.tide_loop_waker(loop, nil, nil)
    C.tide_loop_unwatch(loop, one)
    assert.is_false(open(one))
    assert.is_true(open(two))
    C.tide_loop_free(loop)
    assert.is_false(open(two))
    loop = nil
  end)
end)
