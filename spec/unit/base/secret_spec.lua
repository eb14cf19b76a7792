-- SPDX-License-Identifier: MIT
-- The environment of a process, which is taken out of its memory, and the cores that it does not leave.
local C = require("tidemill.run.ffi").C
local process = require "spec.support.process"

-- Runs a Lua text in a process of its own with these variables; what it prints.
local function printed(text, env)
  local head = 'local ffi = require "ffi" local C = require("tidemill.run.ffi").C '
    .. 'local function environ() local f = io.open("/proc/self/environ", "rb") return f:read("*a") end '
  local code, out, err = process.run({ "luajit", "-e", head .. text }, { env = env })
  assert.equal(0, code, err)
  return out
end

describe("the environment", function()
  after_each(process.stop_all)

  local env = { TIDE_ONE = "first-value", TIDE_TWO = "second-value" }

  it("loses the variables that are named, and /proc shows them no more", function()
    local out = printed([[C.tide_environment_forget(ffi.new("const char *[2]", { "TIDE_ONE", "TIDE_NONE" }), 2)
      print(os.getenv("TIDE_ONE"), os.getenv("TIDE_TWO"), environ():find("first%-value"),
        environ():find("second%-value") ~= nil)]], env)
    assert.equal("nil\tsecond-value\tnil\ttrue\n", out)
  end)

  it("is as it was without names to forget", function()
    C.tide_environment_forget(nil, 0)
    assert.is_truthy(os.getenv "PATH")
  end)
end)

describe("a process that holds a secret", function()
  after_each(process.stop_all)

  it("leaves no core, and may not be traced", function()
    assert.equal("1\t0\n", printed([[ffi.cdef "int prctl(int option, ...);"
      local before = ffi.C.prctl(3)
      C.tide_secret_hold()
      print(before, ffi.C.prctl(3))]]))
  end)
end)
