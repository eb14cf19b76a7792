-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local child = require "spec.support.child"
local faults = require "spec.support.faults"
local gate = require "spec.support.gate"
local F = ffi.load(faults.library)

local SIGABRT, SIGKILL, SIGSEGV, SIGCONT = 6, 9, 11, 18
local WNOHANG, WUNTRACED, ENOSPC = 1, 2, 28

local function arm(text)
  local status = F.tide_fault_arm(text)
  return status == 0 or nil, ffi.string(F.tide_error())
end

-- How a child ends that passes the point "here": its exit code (0 = it went on), or the signal with a minus sign.
local function passing(what, times)
  assert(arm("here=" .. what))
  local code, signal = child.run(function()
    for _ = 1, times or 1 do F.tide_fault_pass "here" end
  end)
  return code or -signal
end

local function passes(count)
  local list = {}
  for i = 1, count do list[i] = F.tide_fault_pass "here" end
  return list
end

describe("a fault point", function()
  after_each(function()
    child.stop_all()
    gate.remove_all()
    arm ""
  end)

  it("a fault point is nothing while it is not armed", function()
    assert(arm "elsewhere=1:kill9")
    assert.same({ false, false }, passes(2))
    assert.equal(-1, tonumber(F.tide_fault_hits "here"))
    assert.equal(0, tonumber(F.tide_fault_hits "elsewhere"))
  end)

  it("a fault point ends its process as told, at the hit told", function()
    assert.equal(-SIGKILL, passing "1:kill9")
    assert.equal(-SIGSEGV, passing "1:segv")
    assert.equal(-SIGABRT, passing "1:abort")
    assert.equal(7, passing "1:exit:7")
    assert.equal(70, passing "1:oom")
    assert.equal(0, passing("3:kill9", 2))
    assert.equal(-SIGKILL, passing("3:kill9", 3))
  end)

  it("a fault point stops its process until it is continued", function()
    assert(arm "here=1:stop")
    local one = child.start(function() F.tide_fault_pass "here" end)
    assert.equal(one.pid, ffi.C.waitpid(one.pid, ffi.new "int[1]", WUNTRACED))
    ffi.C.kill(one.pid, SIGCONT)
    assert.equal(0, (one:join()))
  end)

  it("a fault point delays, and goes on", function()
    local before = library.C.tide_clock_us()
    assert(arm "here=1:delay:20")
    assert.same({ false, false }, passes(2))
    assert.is_true(library.C.tide_clock_us() - before >= 20000)
  end)

  it("a fault point holds its process at a gate until that is opened, and shows that it is there", function()
    local closed = gate.new()
    assert(arm("here=1:gate:" .. closed.path))
    local one = child.start(function() F.tide_fault_pass "here" end)
    closed:reached()
    assert.equal(0, ffi.C.waitpid(one.pid, ffi.new "int[1]", WNOHANG))
    closed:open()
    assert.equal(0, (one:join()))
  end)

  it("a fault point is true from its hit on, as long as the file is not there that is to open it", function()
    local closed = gate.new()
    assert(arm("here=2:shut:" .. closed.path))
    assert.same({ false, true, true }, passes(3))
    closed:open()
    assert.same({ false }, passes(1))
  end)

  it("a fault point is true with an errno once, or from a hit on; a bug always is from its hit on", function()
    assert(arm "here=2:errno:28")
    assert.same({ false, true, false }, passes(3))
    assert.equal(ENOSPC, ffi.errno())
    assert(arm "here=2+:errno:28")
    assert.same({ false, true, true }, passes(3))
    assert(arm "here=2:bug")
    assert.same({ false, true, true }, passes(3))
    assert.equal(3, tonumber(F.tide_fault_hits "here"))
  end)

  it("a fault point counts the hits of all processes together, and can be armed after they were forked", function()
    assert(arm "here=3:kill9")
    local ends = {}
    for i = 1, 4 do ends[i] = select(2, child.run(function() F.tide_fault_pass "here" end)) or "went on" end
    assert.same({ "went on", "went on", SIGKILL, "went on" }, ends)
    assert(arm "elsewhere=1:bug") -- it does nothing to the child, which may pass however often before it is replaced
    local one = child.start(function()
      while not F.tide_fault_pass "here" do end
    end)
    assert(arm "here=1:bug")
    assert.equal(0, (one:join()))
  end)

  it("a fault point refuses what it cannot read, and keeps what was armed", function()
    assert(arm "here=1:bug")
    for _, text in ipairs { "here", "here=1", "here=0:bug", "here=x:bug", "here=1:fly", "here=1:exit",
      "here=1:exit:x", "here=1:gate", "here=1:bug:1", "here=1*:bug", "here=1:kill9,there=:bug" } do
      local ok, problem = arm(text)
      assert.is_nil(ok, text)
      assert.truthy(problem:find("a fault is name=hit:action[:argument]", 1, true), problem)
    end
    assert.same({ true }, passes(1))
  end)

  it("a fault point is armed by the environment; a mistake there ends the program with 64", function()
    local program = ("TIDE_BUILD=%s TIDE_FAULTS=%%s luajit -e '%s' 2>&1; echo $?"):format(faults.folder,
      [[local C = require("tidemill.run.ffi").C print(C.tide_fault_pass "here", C.tide_fault_pass "here")]])
    local function output(value)
      local pipe = assert(io.popen(program:format(value)))
      local text = pipe:read "*a"
      pipe:close()
      return text
    end
    assert.equal("false\ttrue\n0\n", output "here=2:bug")
    assert.truthy(output("here=2"):find 'TIDE_FAULTS: a fault is .*\n64\n$')
  end)
end)
