-- SPDX-License-Identifier: MIT
-- Event time behind a step with several lanes, where messages come in another order than they have in their partition.
local C = require("tidemill.run.ffi").C
local flow = require "spec.support.flow"
local process = require "spec.support.process"
local seeds = require "spec.support.seed"
local support = require "spec.support.shared"
local tide = require "tidemill"

local shared, clear = support.integers(2)

describe("event time behind several lanes", function()
  local fixture = flow.fixture()
  before_each(clear)
  after_each(process.stop_all)

  local function window(add, size)
    return tide.window { size = size, state = "w" .. size, by = "json:n", time = "timestamp", processes = 2, init = 0,
      add = add, result = function(value, of)
        return { key = of.key, value = ('{"n":%d,"from":%d,"count":%d}'):format(of.key, of.from, value) }
      end }
  end

  -- "slow" waits in its lane until the window has the message behind it, whose time closes the window of both.
  it("waits for the messages of earlier offsets", function()
    local function first(m)
      local waited = 0
      while m.key == "slow" and shared[1] == 0 and waited < 5000 do
        waited = waited + 1
        C.poll(nil, 0, 1)
      end
      return m
    end
    local function add(value, m)
      if m.timestamp == 100 then shared[1] = 1 end
      return value + 1
    end
    local test = fixture.steps(tide.keyed { first, state = "a", processes = 2 }, window(add, "50ms"))
    test:feed({ key = "fast", value = '{"n":1}', timestamp = 10 }, { key = "slow", value = '{"n":1}', timestamp = 20 },
      { key = "fast", value = '{"n":1}', timestamp = 100 })
    assert.same({}, test:rejects())
    assert.equal(1, shared[1])
    assert.same({ '{"n":1,"from":0,"count":2}' }, test:values())
    assert.equal(0, test:totals().in_flight)
  end)

  it("gives each window once and whole", function()
    local seed = seeds.draw()
    local function delayed(m)
      if math.random(20) == 1 then C.poll(nil, 0, math.random(3)) end
      return m
    end
    local function plus(value) return value + 1 end
    local test = fixture.steps(tide.keyed { delayed, state = "a", processes = 3, max_batch_size = 7 },
      window(plus, "50ms"))
    local total = 0
    for i = 1, 2000 do
      test:push { key = "k" .. math.random(30), value = ('{"n":%d}'):format(i % 5), timestamp = i }
      total = total + (i < 1800 and 1 or 0)
    end
    test:feed { key = "end", value = '{"n":1}', timestamp = 5000 }
    assert.same({}, test:rejects())
    local counted, seen = 0, {}
    for _, value in ipairs(test:values()) do
      local n, from, count = value:match '"n":(%d+),"from":(%d+),"count":(%d+)'
      assert.is_nil(seen[n .. " " .. from], ("seed %d: %s came twice"):format(seed, value))
      seen[n .. " " .. from] = true
      counted = counted + (tonumber(from) < 1800 and count or 0)
    end
    assert.equal(total, counted, "seed " .. seed)
    assert.equal(0, test:totals().in_flight, "seed " .. seed)
  end)
end)
