-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local child = require "spec.support.child"
local C = library.C

ffi.cdef [[
void free(void *memory);
int pthread_create(unsigned long *thread, const void *attributes, void *(*start)(void *), void *argument);
int pthread_join(unsigned long thread, void **result);
]]

local SIGABRT = 6

describe("a failure", function()
  after_each(child.stop_all)

  it("a failure keeps its text for tide_error and returns the status", function()
    assert.equal(C.TIDE_EDATA, C.tide_fail(C.TIDE_EDATA, "%s at %d", "bad", ffi.cast("int", 7)))
    assert.equal("bad at 7", library.error())
  end)

  it("a failure may quote the text of the one before", function()
    C.tide_fail(C.TIDE_EDATA, "inner")
    C.tide_fail(C.TIDE_EDATA, "outer: %s", C.tide_error())
    assert.equal("outer: inner", library.error())
  end)

  it("a failure is cut at 2 KiB", function()
    C.tide_fail(C.TIDE_EDATA, "%s", ("x"):rep(5000))
    assert.equal(("x"):rep(2047), library.error())
  end)

  it("a failure has a text of its own in each thread", function()
    C.tide_fail(C.TIDE_EDATA, "ours")
    local thread, result = ffi.new("unsigned long[1]"), ffi.new("void *[1]")
    local start = ffi.cast("void *(*)(void *)", C.tide_error) -- takes no argument, returns where its text is
    assert.equal(0, ffi.C.pthread_create(thread, nil, start, nil))
    ffi.C.pthread_join(thread[0], result)
    assert.is_true(result[0] ~= nil and result[0] ~= ffi.cast("void *", C.tide_error()))
    assert.equal("ours", library.error())
  end)

  it("a failure has the exit codes of sysexits.h with a minus sign", function()
    local codes = { EUSAGE = 64, EDATA = 65, ENOINPUT = 66, EUNREACHED = 69, EINTERNAL = 70, ETEMPORARY = 75,
      EFENCED = 76, ECONFIG = 78 }
    for name, code in pairs(codes) do assert.equal(-code, C["TIDE_" .. name]) end
  end)
end)

describe("memory", function()
  it("memory is zeroed by tide_alloc", function()
    for _ = 1, 20 do
      local bytes = ffi.cast("char *", C.tide_alloc(5000))
      assert.equal(("\0"):rep(5000), ffi.string(bytes, 5000))
      ffi.fill(bytes, 5000, 0xAA)
      ffi.C.free(bytes)
    end
  end)

  it("memory keeps its bytes through tide_realloc", function()
    local bytes = C.tide_realloc(nil, 4)
    ffi.copy(bytes, "abc")
    bytes = C.tide_realloc(bytes, 100000)
    assert.equal("abc", ffi.string(ffi.cast("char *", bytes)))
    ffi.C.free(bytes)
  end)

  it("memory ends the process with exit code 70 when there is none", function()
    local code, _, text = child.run(function() C.tide_alloc(2 ^ 62) end)
    if text:find("AddressSanitizer", 1, true) then return end -- it ends the process itself
    assert.equal(70, code)
    assert.truthy(text:find("out of memory", 1, true))
  end)

  it("memory is copied by tide_copy, and NULL stays NULL", function()
    local text = "moon"
    local copy = C.tide_copy(text)
    assert.equal(text, ffi.string(copy))
    ffi.C.free(copy)
    assert.is_true(C.tide_copy(nil) == nil)
  end)
end)

describe("a broken rule", function()
  after_each(child.stop_all)

  it("a broken rule aborts the process and names file, line and rule", function()
    local _, signal, text = child.run(function() C.tide_broken("moon.c", 7, "tide < mill") end)
    assert.equal(SIGABRT, signal)
    assert.truthy(text:find("moon.c:7: broken rule: tide < mill", 1, true))
  end)
end)
