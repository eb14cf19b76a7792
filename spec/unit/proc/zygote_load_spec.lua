-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local child = require "spec.support.child"
local workers = require "spec.support.workers"
local C = workers.C

ffi.cdef [[
int ftruncate(int fd, long size); int fcntl(int fd, int command, ...);
long readlink(const char *path, char *text, size_t size);
]]

-- What is found at /proc/self/fd/<fd>.
local function target(fd)
  local text = ffi.new "char[256]"
  local length = ffi.C.readlink("/proc/self/fd/" .. fd, text, 256)
  return length > 0 and ffi.string(text, length) or ""
end

describe("the zygote while it loads", function()
  after_each(child.stop_all)

  it("the zygote while it loads has a standard error of its own, so that no code can change the engine's", function()
    local O_NONBLOCK, F_GETFL, F_SETFL = 0x800, 3, 4
    local code, _, text = child.run(function()
      local before = ffi.C.fcntl(2, F_GETFL)
      local run = workers.new { load = function()
        assert(target(2):find "^pipe:" and target(1) == target(2), target(2))
        assert(ffi.C.ftruncate(2, 0) < 0)
        assert(ffi.C.fcntl(2, F_SETFL, ffi.cast("int", O_NONBLOCK)) == 0)
        io.stderr:write "said while it was loaded\n"
      end }
      assert(C.tide_zygote_wait_loaded(run.zygote, -1) == C.TIDE_OK, library.error())
      assert(ffi.C.fcntl(2, F_GETFL) == before)
      run:free()
    end)
    assert.equal(0, code, text)
    assert.equal("said while it was loaded\n", text)
  end)
end)

-- More numbers than there are registers: where they lie on the stack the unwinder loses its way.
local function call_from_compiled_code(fn, zygote)
  local a, b, c, d, e, f, g, h = 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5
  local sum = 0
  for i = 1, 200 do
    local a1, b1, c1, d1, e1, f1, g1, h1 = i * a, i * b, i * c, i * d, i * e, i * f, i * g, i * h
    local a2, b2, c2, d2, e2, f2, g2, h2 = i + a, i + b, i + c, i + d, i + e, i + f, i + g, i + h
    fn(zygote)
    sum = sum + a1 + b1 + c1 + d1 + e1 + f1 + g1 + h1 + a2 + b2 + c2 + d2 + e2 + f2 + g2 + h2
  end
  return sum
end

describe("a process that watches for its crash", function()
  after_each(child.stop_all)

  it("a process that watches for its crash may have been forked by compiled code", function()
    local engine = require("spec.support.headers").declare "proc/inside.h"
    local code, _, text = child.run(function()
      local zygote = ffi.new("struct tide_zygote", { zygote_end = -1 })
      call_from_compiled_code(engine.tide_crash_watch_zygote, zygote)
    end)
    assert.equal(0, code, text)
  end)
end)
