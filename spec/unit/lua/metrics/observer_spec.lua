-- SPDX-License-Identifier: MIT
local cjson = require "cjson"
local http = require "spec.support.http"
local observer = require "tidemill.metrics.observer"
local status = require "tidemill.cli.status"
local testing = require "tidemill.testing"
local wait = require "spec.support.wait"

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
    made:turn { kind = "nothing" }
    made:turn { kind = "nothing" }
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
      made:turn { kind = "nothing" }
      made:turn { kind = "nothing" }
    end
    assert.same({ 1, 3 }, { failures, calls })
    made:free()
  end)

  it("is left out as a whole when it cannot look at the engine, and messages go on", function()
    local made, test = watched()
    local called = 0
    made:add { second = function() called = called + 1 end, finish = function() called = called + 1 end }
    made:second()
    assert.equal(1, called)
    test.engine.totals = function() error "no totals" end
    for _ = 1, 3 do made:second() end
    made:finish()
    assert.equal(1, called)
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

  it("lets the engine turn between parts that take long", function()
    local made = watched()
    local calls, seen = 0, {}
    for i = 1, 3 do
      made:add { second = function(_, snapshot)
        calls, seen[i] = calls + 1, snapshot
        local until_s = os.clock() + 0.05
        repeat until os.clock() > until_s
      end }
    end
    made:second()
    assert.same({ 1, 0 }, { calls, made:haste() })
    made:turn { kind = "nothing" }
    assert.same({ 2, 0 }, { calls, made:haste() })
    made:turn { kind = "nothing" }
    made:turn { kind = "nothing" }
    assert.same({ 3 }, { calls, made:haste() })
    assert.same({ made.snapshot, made.snapshot, made.snapshot }, seen)
    made:free()
  end)
end)

describe("a live path", function()
  after_each(testing.close)

  it("whose part fails is answered with 500, and messages go on", function()
    local test = testing.transform(function(message) return message end)
    local made = assert(observer.new(test.engine, test.plan, { prometheus = { host = "127.0.0.1", port = 0 } }))
    made:live("/broken", function() error "no good" end)
    local connection = http.connect(made.server.port)
    connection:send(http.request("GET", "/broken"))
    connection:settimeout(0)
    local answer = ""
    wait.until_true(function()
      made:turn { kind = "nothing" }
      local whole, reason, part = connection:receive "*a"
      answer = answer .. (whole or part)
      return whole or reason == "closed"
    end, "the answer")
    assert.equal(500, http.parse(answer).code)
    assert.is_false(made.server:busy())
    test:feed "a"
    assert.same({ "a" }, test:values())
    made:free()
  end)
end)

describe("a live request", function()
  after_each(testing.close)

  it("that is refused gets the whole reason on one line, whatever its query holds", function()
    local test = testing.transform(function(message) return message end)
    local made = assert(observer.new(test.engine, test.plan, { prometheus = { host = "127.0.0.1", port = 0 } }))
    made:live("/asked", function(request) request:refuse(400, "no " .. request.query.q .. " here") end)
    local connection = http.connect(made.server.port)
    connection:send(http.request("GET", "/asked?q=%00%0a%1b[2J"))
    connection:settimeout(0)
    local answer = ""
    wait.until_true(function()
      made:turn { kind = "nothing" }
      local whole, reason, part = connection:receive "*a"
      answer = answer .. (whole or part)
      return whole or reason == "closed"
    end, "the answer")
    assert.equal("no ???[2J here\n", http.parse(answer).body)
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

  it("is UTF-8 whatever the texts hold", function()
    local text = status.encode { name = "a\255é\237\160\128😀\195" }
    assert.equal('{"name":"a?é???😀?"}', text)
    assert.equal('"a?é"', require("tidemill.cli.json").quote "a\255é")
  end)
end)
