-- SPDX-License-Identifier: MIT
local cjson = require "cjson"
local observer = require "tidemill.metrics.observer"
local status = require "tidemill.cli.status"
local testing = require "tidemill.testing"

local function watched()
  local test = testing.transform(function(message) return message end)
  return assert(observer.new(test.engine, test.plan, {})), test
end

describe("the observer", function()
  after_each(testing.close)

  it("gives its parts the snapshot in turn, and each may fill in what those after it see", function()
    local made, test = watched()
    local seen
    made:add { second = function(_, snapshot) snapshot.verdict = { limit = "source" } end }
    made:add { second = function(_, snapshot) seen = snapshot end }
    test:feed("a", "b")
    made:second()
    assert.same({ "source", 2, "reading" }, { seen.verdict.limit, seen.totals.produced, seen.state })
    assert.equal(seen, made.snapshot)
    made:free()
  end)

  it("leaves out a part that fails, and goes on with the others", function()
    local made = watched()
    local failures, calls = 0, 0
    made:add { second = function()
      failures = failures + 1
      error "no good"
    end }
    made:add { second = function() calls = calls + 1 end }
    for _ = 1, 3 do
      made.rested = 0 -- whatever the last one has cost
      made:second()
    end
    assert.same({ 1, 3 }, { failures, calls })
    made:free()
  end)

  it("rests after a second that has taken long, so that it takes a hundredth of the time at most", function()
    local made = watched()
    local calls = 0
    made:add { second = function()
      calls = calls + 1
      local until_s = os.clock() + 0.05
      repeat until os.clock() > until_s
    end }
    for _ = 1, 5 do made:second() end
    assert.equal(1, calls)
    made:free()
  end)
end)

describe("the status", function()
  it("has lists for lists also when they are empty, and keeps texts as they are", function()
    local text = status.encode { steps = {}, partitions = {}, verdict = { evidence = {}, procedure = {} }, n = 0 / 0,
      time = 1790000000123, name = 'a "steps":{} b', count = 12345678901234 }
    local back = cjson.decode(text)
    assert.matches('"steps":%[%]', text)
    assert.matches('"partitions":%[%]', text)
    assert.matches('"procedure":%[%]', text)
    assert.matches('"evidence":{}', text)
    assert.same({ 'a "steps":{} b', 1790000000123, 12345678901234, cjson.null },
      { back.name, back.time, back.count, back.n })
  end)
end)
