-- SPDX-License-Identifier: MIT
-- cli/profile/samples.lua and print.lua: what is made of the text of a profile, which a worker wrote.
local print_profile = require "tidemill.cli.profile.print"
local samples = require "tidemill.cli.profile.samples"
local seeds = require "spec.support.seed"

local HEAD = "tidemill-profile\t1\t5000000\t4500000\t4800000\t120\n"

local function stack(count, interpreted, ...)
  return ("stack\t%d\t%d\t[step 1];%s\n"):format(count, interpreted, table.concat({ ... }, ";"))
end

local LOOP = "loop [tidemill]"
local MAIN = "function (t.lua:1) :2"

local function read(...)
  return assert(samples.read(HEAD .. table.concat { ... }))
end

describe("the sums of a profile", function()
  it("have the function that takes most first, with what it calls in libraries", function()
    local sum = samples.sum(read(stack(10, 0, LOOP, MAIN), stack(60, 0, LOOP, MAIN, "hot (t.lua:10) :12"),
      stack(30, 0, LOOP, MAIN, "hot (t.lua:10) :13", "string.gsub [C]")))
    assert.equal(100, sum.samples)
    assert.same({ "hot (t.lua:10)", 90, 90 }, { sum.functions[1].text, sum.functions[1].self, sum.functions[1].total })
    assert.same({ 10, 100 }, { sum.functions[2].self, sum.functions[2].total })
    assert.same({ "t.lua:12", "t.lua:13", "t.lua:2" },
      { sum.lines[1].text, sum.lines[2].text, sum.lines[3].text })
    assert.equal("string.gsub", sum.lines[2].within)
    assert.is_nil(sum.lines[1].within)
  end)

  it("count a function that calls itself once a sample", function()
    local again = "f (t.lua:5) :6"
    local sum = samples.sum(read(stack(7, 0, LOOP, MAIN, again, again, again)))
    assert.same({ 7, 7 }, { sum.functions[1].self, sum.functions[1].total })
  end)

  it("tell the engine's own work apart", function()
    local sum = samples.sum(read(stack(3, 0, LOOP), stack(1, 0, LOOP, MAIN)))
    assert.same({ 4, 3 }, { sum.samples, sum.own })
  end)

  it("show what is around the user's functions as one frame", function()
    local profile = read(stack(1, 0, "run/batch [tidemill]", "run/runner [tidemill]", "xpcall [C]", MAIN, "error [C]"))
    local texts = {}
    for i, frame in ipairs(profile.stacks[1].frames) do texts[i] = frame.text end
    assert.same({ "the engine's loop", "function (t.lua:1)", "error" }, texts)
  end)

  it("keep the samples of one step", function()
    local profile = read(stack(3, 0, LOOP, MAIN), "stack\t5\t0\t[step 2];" .. LOOP .. "\n")
    samples.of_step(profile, 2)
    assert.equal(5, samples.sum(profile).samples)
  end)

  it("name each obstacle once, that of the hottest line first", function()
    local profile = read(stack(5, 0, LOOP, "function (t.lua:1) :9"), "trace\tcall\tt.lua:2\tt.lua:2\t1\tstring.gsub\n",
      "trace\tloop\tt.lua:9\tloop\t3\tNYI: bytecode FNEW\n", "trace\tloop\tt.lua:9\tt.lua:1\t3\tNYI: bytecode FNEW\n")
    local list = samples.obstacles(profile, samples.sum(profile).lines)
    assert.same({ 2, "t.lua:9", "t.lua:2" }, { #list, list[1].where, list[2].where })
  end)
end)

describe("the text of a profile", function()
  it("is refused when it is no profile", function()
    assert.is_nil((samples.read("")))
    assert.is_nil((samples.read("tidemill-profile\t2\t1\t1\t1\t1\n")))
    assert.same({ nil, "no such worker", 64 }, { samples.read "error\t64\tno such worker\n" })
  end)

  it("is read as far as it makes sense, whatever a worker writes", function()
    local profile = read("stack\tx\t0\t[step 1];a\n", "stack\t-5\t0\ta\n", "stack\t1e300\t0\ta\n", "stack\n",
      "nonsense\n", "trace\tother\ta\tb\t1\tc\n",
      "state\n", "state\tcompiled\tnan\n", "\t\t\t\n", stack(2, 99, "\27[31m evil [C]"))
    assert.equal(1, #profile.stacks)
    assert.equal(2, profile.stacks[1].interpreted)
    assert.is_nil(table.concat(print_profile.lines(profile)):find("%c"))
    assert.same({}, profile.traces)
  end)

  it("may be any bytes", function()
    local seed = seeds.draw()
    for _ = 1, 200 do
      local bytes = {}
      for i = 1, math.random(300) do
        bytes[i] = math.random() < 0.3 and ("\t\n;[]() stack trace state 12 call"):sub(math.random(33)):match("^.%a*")
          or string.char(math.random(0, 255))
      end
      local made, profile = pcall(samples.read, HEAD .. "stack\t1\t0\t" .. table.concat(bytes))
      assert.is_true(made, ("seed %d: %s"):format(seed, tostring(profile)))
      print_profile.lines(profile)
    end
  end)
end)

describe("the text of tidemill profile", function()
  it("says that a worker is idle", function()
    local profile = assert(samples.read "tidemill-profile\t1\t5000000\t1000\t2000\t1\n")
    local lines = print_profile.lines(profile)
    assert.matches("almost idle", lines[1])
    assert.matches("No sample", lines[2])
  end)

  it("says that a worker waits", function()
    local profile = assert(samples.read "tidemill-profile\t1\t5000000\t500000\t4900000\t9\n")
    assert.matches("for 90 %% of that it did not run", print_profile.lines(profile)[1])
  end)

  it("says why there is no sample of a worker that had work", function()
    local function said(cpu, wall)
      wall = wall or 5000000
      local text = ("tidemill-profile\t1\t%d\t%d\t%d\t9\n"):format(wall, cpu, wall - 1000)
      return print_profile.lines(assert(samples.read(text)))[2]
    end
    assert.matches("too short", said(9000, 10000))
    assert.matches("it only waited", said(1000))
    assert.matches("use LuaJIT's profiler themselves %(jit.p, jit.profile%)", said(4800000))
  end)

  it("says without samples too what is not compiled", function()
    local profile = assert(samples.read "tidemill-profile\t1\t10000\t9000\t9000\t9\noff\n")
    local lines = print_profile.lines(profile)
    assert.equal("What LuaJIT does not compile:", lines[#lines - 1])
  end)

  it("has shares, source lines, and what is not compiled", function()
    local profile = read("state\tcompiled\t75\n", "state\tinterpreted\t25\n", stack(25, 25, LOOP, MAIN),
      stack(75, 0, LOOP, MAIN, "hot (t.lua:10) :12"), "trace\tcall\tt.lua:12\tt.lua:12\t1\tstring.gsub\n")
    local function source(file, line) return file .. " at " .. line end
    local text = table.concat(print_profile.lines(profile, source), "\n")
    assert.matches("100 samples: compiled 75 %%, interpreted 25 %%", text)
    assert.matches(" 75.0 %%  75.0 %%  hot %(t.lua:10%)\n 25.0 %% 100.0 %%  function %(t.lua:1%)   interpreted\n", text)
    assert.matches(" 75.0 %%  t.lua:12  t.lua at 12\n", text)
    assert.matches("t.lua:12: the compiled code is left here: string.gsub is not compiled %(NYI%); "
      .. "use tide.regex.gsub", text)
  end)

  it("says so when everything is compiled", function()
    local lines = print_profile.lines(read(stack(50, 0, LOOP, MAIN)))
    assert.matches("no loop fell back", lines[#lines])
  end)
end)
