-- SPDX-License-Identifier: MIT
-- Strategies without state: filter, unfold, run_task, unbatch; alone and beside run_task_with_multiprocessing.
local flow = require "spec.support.flow"
local tide = require "tidemill"
local testing = require "tidemill.testing"

describe("steps without state", function()
  local fixture = flow.fixture()
  local steps = fixture.steps

  local upper = function(m) return m.value:upper() end

  it("steps without state run in one loop with the workers beside them, in the order of the pipeline", function()
    steps(tide.filter { function(m) return m.value ~= "b" end },
      tide.run_task_with_multiprocessing { upper, processes = 2 },
      tide.unfold { function(m) return { m.value .. "1", m } end },
      tide.run_task { function(m) return m.value .. "!" end })
    assert.equal(1, fixture.test.plan.c.step_count)
    assert.equal(4, #fixture.test.plan.functions[1])
    assert.equal(2, fixture.test.plan.c.pools[0])
    fixture.test:feed("a", "b", "c")
    assert.produces(fixture.test, { "A1!", "A!", "C1!", "C!" })
    assert.filtered(fixture.test, 1)
    assert.equal(3, fixture.test:committed())
  end)

  it("steps without state run in one worker of their own where there is none beside them", function()
    steps(tide.filter { function(m) return #m.value > 1 end }, tide.run_task { upper })
    assert.equal(1, fixture.test.plan.c.step_count)
    assert.equal(1, fixture.test.plan.c.pools[0])
    fixture.test:feed("a", "bb", "c", "dd")
    assert.produces(fixture.test, { "BB", "DD" })
    assert.filtered(fixture.test, 2)
    assert.equal(2, fixture.test:metrics()["strategies.filter.dropped_messages"])
    assert.equal(4, fixture.test:committed())
  end)

  it("steps without state go to the workers before them, and to those behind only when there are none"
    .. " before", function()
    steps(tide.run_task { upper }, tide.run_task_with_multiprocessing { upper, processes = 1 },
      tide.filter { function() return true end }, tide.run_task_with_multiprocessing { upper, processes = 1 },
      tide.noop {}, tide.run_task { upper })
    local functions = fixture.test.plan.functions
    assert.equal(4, fixture.test.plan.c.step_count)
    assert.same({ 3, 1, 1 }, { #functions[1], #functions[2], #functions[4] })
    fixture.test:feed("a")
    assert.produces(fixture.test, { "A" })
  end)

  it("steps without state drop what a filter answers with nil, false or tide.drop, and keep it for"
    .. " anything else", function()
    local answers = { ["nil"] = nil, no = false, drop = tide.drop, number = 0, text = "", table = {}, null = tide.null }
    steps(tide.filter { function(m)
      if m.value == "message" then return m end
      return answers[m.value]
    end })
    fixture.test:feed("nil", "no", "drop", "number", "text", "table", "null", "message")
    assert.produces(fixture.test, { "number", "text", "table", "null", "message" })
    assert.filtered(fixture.test, 3)
  end)

  it("steps without state take tide.reject from a filter, and refuse several results", function()
    steps(tide.filter { function(m)
      return m.value == "bad" and tide.reject "is bad" or tide.many { m, m }
    end })
    fixture.test:feed("bad", "several")
    assert.rejects(fixture.test, { "rejected: is bad",
      "strategies_spec.lua:%d+ returned tide.many; a filter only keeps a message or drops it" })
  end)

  it("steps without state reject an unfold that returns no array, and let tide.reject through", function()
    steps(tide.unfold { function(m)
      if m.value == "text" then return "x" end
      if m.value == "bad" then return tide.reject "is bad" end
      if m.value == "drop" then return tide.drop end
      return m.value == "none" and {} or { m, nil, "z" }
    end })
    fixture.test:feed("text", "bad", "none", "gap", "drop")
    assert.rejects(fixture.test, { "returned a string; unfold returns an array", "rejected: is bad",
      "without gaps.*tide.drop stands for" })
    assert.filtered(fixture.test, 2)
    assert.equal(2, fixture.test:metrics()["strategies.filter.dropped_messages"])
    assert.equal(5, fixture.test:committed())
  end)

  it("steps without state are the stage of their dead letters, by their names; beside other workers"
    .. " that step's name is", function()
    local function bad() error "bad" end
    local function stage(...)
      if fixture.test then fixture.test:close() end
      steps(...):feed("a"):finish()
      return fixture.test:rejects()[1].stage
    end
    assert.equal("filter", stage(tide.filter { bad }))
    assert.equal("filter, run_task", stage(tide.filter { function() return true end }, tide.run_task { bad }))
    assert.equal("unfold", stage(tide.noop {}, tide.unfold { function() return 5 end }))
    assert.equal("reduce", stage(tide.reduce { bad }))
    assert.equal("reduce", stage(tide.reduce { function(_, m) return m.value end }, tide.run_task { bad }))
    assert.equal("run_task_with_multiprocessing",
      stage(tide.filter { bad }, tide.run_task_with_multiprocessing { upper, processes = 1 }))
    assert.equal("filter", stage(tide.run_task_with_multiprocessing { upper, processes = 1 }, tide.noop {},
      tide.filter { bad }))
  end)

  it("steps without state may be files, with hooks", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write [[local kept = "a"
      return { init = function() kept = "b" end, process = function(m) return m.value == kept end }]]
    file:close()
    steps(tide.filter { path })
    os.remove(path)
    fixture.test:feed("a", "b")
    assert.produces(fixture.test, { "b" })
  end)
end)

describe("unfold", function()
  it("unfold commits the parent once all children are delivered", function()
    local C = testing.C
    local test = testing.steps { tide.unfold { function(m) return { m, m, m } end } }
    C.tide_memory_hold(test.sink, true)
    test:feed("a")
    assert.equal(3, tonumber(C.tide_memory_count(test.sink)))
    assert.is_nil(test:committed())
    assert.equal(0, test:totals().produced_from)
    C.tide_memory_hold(test.sink, false)
    test:finish()
    assert.equal(1, test:committed())
    assert.equal(1, test:totals().produced_from)
    test:close()
  end)
end)

describe("healthcheck", function()
  local function modified(path)
    local pipe = io.popen("stat -c %Y.%y " .. path .. " 2>/dev/null")
    local text = pipe:read "*a"
    pipe:close()
    return text ~= "" and text or nil
  end

  it("healthcheck touches its file at most once a second, and not while messages are stuck", function()
    local C, path = testing.C, os.tmpname()
    os.remove(path)
    local began = C.tide_clock_us()
    local test = testing.steps { tide.healthcheck { path = path },
      tide.run_task { function(m) return m end } }
    -- The clock goes on by itself too: where the test is held up for a second, one touch more is right.
    local function assert_touches(least)
      local touches = test:metrics()["strategies.healthcheck.touch"]
      local most = 1 + math.floor(tonumber(C.tide_clock_us() - began) / 1e6)
      assert.is_true(touches >= least and touches <= most, ("%d touches of %d to %d"):format(touches, least, most))
    end
    test:feed("a")
    local first = assert(modified(path))
    test:feed("b", "c")
    assert_touches(1)
    test:advance(1.1)
    assert.not_equal(first, modified(path))
    assert_touches(2)
    C.tide_memory_hold(test.sink, true)
    test:feed("d")
    test:advance(5)
    local second = modified(path)
    test:advance(5)
    assert.equal(second, modified(path))
    C.tide_memory_hold(test.sink, false)
    test:advance(5)
    assert.not_equal(second, modified(path))
    test:close()
    os.remove(path)
  end)
end)
