-- SPDX-License-Identifier: MIT
-- Event time behind a step with several lanes, where messages come in another order than they have in their partition.
local C = require("tidemill.run.ffi").C
local flow = require "spec.support.flow"
local process = require "spec.support.process"
local seeds = require "spec.support.seed"
local support = require "spec.support.shared"
local tide = require "tidemill"

local shared, clear = support.integers(2100)

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
      while m.key == "slow" and shared[1] == 0 do C.poll(nil, 0, 1) end
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

  local LAST = 1800 -- messages before it are in windows that close

  -- Numbers of messages in the windows from before LAST on. Each window comes once; `again`: or again, with the same
  -- value.
  local function count(values, seed, again)
    local counted, seen = 0, {}
    for _, value in ipairs(values) do
      local n, from, counts = value:match '"n":(%d+),"from":(%d+),"count":(%d+)'
      local before = seen[n .. " " .. from]
      assert.is_true(before == nil or (again and before == counts), ("seed %d: %s came twice"):format(seed, value))
      seen[n .. " " .. from] = counts
      counted = counted + (before == nil and tonumber(from) < LAST and counts or 0)
    end
    return counted
  end

  local function delayed(m)
    if math.random(20) == 1 then C.poll(nil, 0, math.random(3)) end
    return m
  end

  local function plus(value) return value + 1 end

  -- Messages of 30 keys and 5 numbers, a millisecond apart. `meanwhile(i)` is called between them.
  local function feed(test, seed, meanwhile)
    local total = 0
    for i = 1, 2000 do
      test:push { key = "k" .. math.random(30), value = ('{"n":%d}'):format(i % 5), timestamp = i }
      total = total + (i < LAST and 1 or 0)
      if meanwhile then meanwhile(i) end
    end
    test:feed { key = "end", value = '{"n":1}', timestamp = 5000 }
    assert.same({}, test:rejects())
    assert.equal(0, test:totals().in_flight, "seed " .. seed)
    return total
  end

  it("gives each window once and whole", function()
    local seed = seeds.draw()
    local test = fixture.steps(tide.keyed { delayed, state = "a", processes = 3, max_batch_size = 7 },
      window(plus, "50ms"))
    assert.equal(feed(test, seed), count(test:values(), seed), "seed " .. seed)
  end)

  -- Of 10 ms, 50 ms and 100 ms. With `deadly`, workers die of some messages, the first time that these are run.
  local function windows_of_windows(deadly)
    local function sum(value, m)
      if deadly and m.timestamp % 200 == 49 then
        local at = m.timestamp + 10 * tonumber(m.key)
        shared[at] = shared[at] + 1
        if shared[at] == 1 then support.kill() end
      end
      return delayed(m) and value + m.json.count
    end
    return fixture.steps(window(plus, "10ms"), tide.map { delayed, order = "none", processes = 3, max_batch_size = 7 },
      window(sum, "50ms"), window(sum, "100ms"))
  end

  it("gives each window of windows once and whole", function()
    local seed = seeds.draw()
    local test = windows_of_windows()
    assert.equal(feed(test, seed), count(test:values(), seed), "seed " .. seed)
  end)

  it("gives each window of windows once and whole while workers die", function()
    local seed = seeds.draw()
    local test = windows_of_windows(true)
    assert.equal(feed(test, seed), count(test:values(), seed), "seed " .. seed)
    assert.is_true(shared[49] > 1)
  end)

  it("gives each window of windows with one value while the partition is taken away and comes back", function()
    local seed = seeds.draw()
    local test = windows_of_windows()
    local total = feed(test, seed, function(i)
      if i % 3 == 0 then test.engine:run(0) end
      if i % 400 == 0 then test:revoke(0) end
    end)
    assert.equal(total, count(test:values(), seed, true), "seed " .. seed)
  end)
end)
