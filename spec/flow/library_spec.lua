-- SPDX-License-Identifier: MIT
-- tide.log, tide.metric and tide.env, where functions run: in workers.
local tide = require "tidemill"
local testing = require "tidemill.testing"

describe("in a worker", function()
  local test

  local function transform(fn, processes)
    test = testing.steps { tide.run_task_with_multiprocessing { fn, processes = processes or 1, max_batch_size = 2 } }
    return test
  end

  after_each(function()
    test:close()
  end)

  it("tide.metric counts, over all workers, into the metrics as script.NAME", function()
    transform(function(m)
      tide.metric.count "seen"
      tide.metric.count("bytes", #m.value)
      tide.metric.gauge("level", 3)
      tide.metric.timing("took", m.offset)
      return m
    end, 2)
    test:feed("a", "bb", "ccc", "dddd")
    local metrics = test:metrics()
    assert.equal(4, metrics["script.seen"])
    assert.equal(10, metrics["script.bytes"])
    assert.same({ 4, 6, 0, 3 }, { metrics["script.took"].count, metrics["script.took"].sum,
      metrics["script.took"].min, metrics["script.took"].max })
    assert.is_true(metrics["script.level"].last == 3 or metrics["script.level"].last == 6)
  end)

  it("tide.metric refuses a 65th name, a bad one, another kind, and what is no number", function()
    transform(function(m)
      if m.value == "many" then for i = 1, 65 do tide.metric.count("n" .. i) end end
      if m.value == "name" then tide.metric.count "a b" end
      if m.value == "kind" then tide.metric.gauge("n1", 1) end
      if m.value == "text" then tide.metric.gauge("n1", "x") end
    end)
    test:feed("many", "name", "kind", "text")
    assert.rejects(test, { 'library_spec.lua:%d+: tide.metric: metric "n65" is one more than 64',
      "library_spec.lua:%d+: a metric's name", 'metric "n1" is used as two kinds', "takes a number" })
  end)

  it("tide.env is the variable itself, and tide.log writes to the log", function()
    transform(function()
      tide.log.debug("%s is not shown at this level", "debug")
      return (tide.env "HOME" or "") .. tide.env("TIDE_NOT_SET_ANYWHERE", "default")
    end)
    test:feed("a")
    assert.produces(test, { os.getenv "HOME" .. "default" })
  end)
end)
