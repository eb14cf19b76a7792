-- SPDX-License-Identifier: MIT
-- The option clock_after: where nothing comes in a partition, the clock makes timers and windows due
-- (engine/chain/task_clock.c).
local C = require("tidemill.run.ffi").C
local flow = require "spec.support.flow"
local process = require "spec.support.process"
local pipeline_file = require "spec.support.pipeline_file"
local PROGRAM = require("spec.support.program").path
local tide = require "tidemill"
local wait = require "spec.support.wait"

describe("the clock", function()
  local fixture = flow.fixture()
  after_each(process.stop_all)
  after_each(pipeline_file.remove_all)

  local function window(options)
    local all = { size = "50ms", by = "key", time = "timestamp", clock_after = "10h", init = 0,
      add = function(value) return value + 1 end,
      result = function(value, of) return ("%s %d: %d"):format(of.key, of.from, value) end }
    for name, value in pairs(options or {}) do all[name] = value end
    return tide.window(all)
  end

  local function sorted(test)
    local values = test:values()
    table.sort(values)
    return values
  end

  local function now() return tonumber(C.tide_clock_wall_ms()) end

  it("closes windows of a partition in which nothing came for long enough, and not before", function()
    local test = fixture.steps(window())
    test:feed({ key = "a", timestamp = 10 }, { key = "a", timestamp = 20 }, { key = "b", timestamp = 20 })
    test:advance("9h")
    assert.same({}, test:values())
    test:advance("2h")
    assert.same({ "a 0: 2", "b 0: 1" }, sorted(test))
    assert.equal(3, test:committed(0)) -- as before
    assert.equal(0, test:totals().in_flight)
    test:feed { key = "a", timestamp = 30 }
    assert.equal(2, #test:values()) -- it is late
    assert.equal(4, test:committed(0))
    test:feed { key = "a", timestamp = now() + 60000 }
    test:advance("11h")
    assert.equal(2, #test:values()) -- the clock has not come so far
  end)

  it("leaves windows open as long as grace says, and for ever without the option", function()
    local test = fixture.steps(window { grace = "1h", state = "slow" }, tide.map { print })
    test:feed { key = "a", timestamp = now() - 60000 }
    test:advance("11h")
    assert.same({}, test:values())
    test:close()
    test = fixture.steps(window { clock_after = 0 })
    test:feed { key = "a", timestamp = 10 }
    test:advance("1h")
    assert.same({}, test:values())
  end)

  it("moves the partitions that are silent, and of several steps each by its own option", function()
    local test = fixture.steps(window { result = function(value, of)
      return { key = "all", json = { n = value, from = of.from } }
    end }, window { size = "100ms", state = "second", clock_after = "20h", processes = 2,
      add = function(value, message) return value + message.json.n end })
    for from = 0, 100, 50 do
      for i = 1, 8 do test:push { key = "k" .. i, timestamp = from + i } end
    end
    test:feed { key = "k1", timestamp = 1000 }
    assert.same({ "all 0: 16" }, test:values())
    test:advance("11h")
    assert.same({ "all 0: 16", "all 100: 8" }, sorted(test)) -- the first step has closed its last window
    test:advance("19h")
    assert.equal(2, #test:values())
    test:advance("2h")
    assert.same({ "all 0: 16", "all 1000: 1", "all 100: 8" }, sorted(test))
  end)

  it("keeps what it did with the position: it is done once, also after a revocation", function()
    local runs = {}
    local test = fixture.steps(window())
    test:feed { key = "a", timestamp = 10 }
    test:advance("11h")
    for _ = 1, 2 do
      test:revoke(0)
      test:advance("11h")
      runs[#runs + 1] = #test:values()
    end
    assert.same({ 1, 1 }, runs)
    test:feed { key = "a", timestamp = 20 } -- the watermark is kept, too
    test:revoke(0)
    test:advance("11h")
    assert.equal(1, #test:values())
  end)

  it("rejects a timer like any other, as of the last message", function()
    local test = fixture.steps(tide.keyed { function(message, state)
      if message.timer then error "no" end
      state:timer(message.timestamp + 5)
      return nil
    end, state = "s", time = "timestamp", clock_after = "10h" })
    test:feed({ key = "a", timestamp = 1 }, { key = "a", timestamp = 2 })
    test:advance("11h")
    local rejects = test:rejects()
    assert.equal(1, #rejects)
    assert.equal(1, tonumber(rejects[1].original_offset))
    test:advance("11h")
    assert.equal(1, #test:rejects())
  end)

  it("closes windows of an earlier run though nothing is read in this one", function()
    local _, folder = pipeline_file.write [[
local tide = require "tidemill"
return tide.pipeline "counts" {
  tide.file_source { path = "-" },
  tide.window { size = "1min", by = "json:k", time = "json:t", clock_after = "100ms",
    add = function(n) return (n or 0) + 1 end },
  tide.file_sink { path = "out" },
  state_dir = "state" }
]]
    local function run(input)
      return process.start { "sh", "-c", ('cd "%s" && (%s) | "%s" run p.lua'):format(folder, input, PROGRAM) }
    end
    local function out()
      local file = assert(io.open(folder .. "/out"))
      local text = file:read "*a"
      file:close()
      return text
    end
    assert.equal(0, run([[printf '{"k":"a","t":1000}\n{"k":"a","t":2000}\n']]):wait(20))
    assert.equal("", out())
    local second = run "exec sleep 60"
    wait.until_true(function() return out() ~= "" end, function() return second:stderr() end)
    assert.matches('"from":0,"key":"a","to":60000,"value":2', out())
  end)
end)
