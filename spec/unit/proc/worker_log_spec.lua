-- SPDX-License-Identifier: MIT
-- proc/worker_log.c: how many lines were dropped. What is passed on is seen in spec/flow/worker_limits_spec.lua.
local ffi = require "ffi"
local C = require("spec.support.headers").declare("base/log.h", "proc/worker_log.h")

pcall(ffi.cdef, "long write(int fd, const void *bytes, size_t count);")

describe("what a worker writes above its limit", function()
  local log

  before_each(function()
    log = ffi.new("struct tide_worker_log", { engine_end = -1, worker_end = -1 })
    assert.equal(0, C.tide_worker_log_open(log, "the worker of a spec", 0))
  end)
  after_each(function() C.tide_worker_log_free(log) end)

  -- The engine looks twice after each part: at the second look there is nothing more, so the part goes out as it is.
  local function dropped_of(...)
    for _, part in ipairs { ... } do
      ffi.C.write(log.worker_end, part, #part)
      for _ = 1, 2 do C.tide_worker_log_read(log, 1, true) end
    end
    return tonumber(C.tide_worker_log_end(log, 2))
  end

  it("is counted by lines", function() assert.equal(3, dropped_of("one\ntwo\n", "three\n")) end)

  it("is one line where it comes in parts", function() assert.equal(2, dropped_of("o", "n", "e\n", "two\n")) end)

  it("is a line where it has no end", function() assert.equal(2, dropped_of("one\n", "two")) end)
end)
