-- SPDX-License-Identifier: MIT
-- Event time of several topics that are read into one state: behind several lanes, and by the clock.
local seeds = require "spec.support.seed"
local testing = require "tidemill.testing"
require "spec.support.wait" -- declares poll
local pipeline_file = require "spec.support.pipeline_file"

describe("event time of two topics", function()
  after_each(function()
    testing.close()
    pipeline_file.remove_all()
  end)

  local function open(steps)
    return testing.pipeline(pipeline_file.write(([[
local tide = require "tidemill"
local C = require("tidemill.run.ffi").C
return tide.pipeline "topics" {
  tide.kafka_source { brokers = "b", topics = { "a", "b" }, group = "g" },
  %s
  tide.produce { topic = "out" },
  state_dir = "unused", trust = "full" }
]]):format(steps)), { partitions = 1 })
  end

  it("closes each window once and whole behind several lanes", function()
    local seed = seeds.draw()
    local test = open [[tide.keyed { function(m)
      if m.offset % 20 == 3 then C.poll(nil, 0, m.offset % 4) end
      return m
    end, state = "first", processes = 3, max_batch_size = 7 },
    tide.window { size = "50ms", state = "second", by = "json:n", processes = 2, init = 0,
      add = function(value) return value + 1 end,
      result = function(value, of) return ("%s %d %d"):format(of.key, of.from, value) end },]]
    local total = 0
    for i = 1, 1000 do
      test:push { topic = i % 50 < 25 and "a" or "b", key = "k" .. math.random(30), timestamp = i,
        value = ('{"n":%d}'):format(i % 5) }
      total = total + (i < 800 and 1 or 0)
    end
    test:feed({ topic = "a", key = "end", value = '{"n":1}', timestamp = 5000 },
      { topic = "b", key = "end", value = '{"n":1}', timestamp = 5000 })
    local counted, seen = 0, {}
    for _, value in ipairs(test:values()) do
      local n, from, count = value:match "(%d+) (%d+) (%d+)"
      assert.is_nil(seen[n .. " " .. from], ("seed %d: %s came twice"):format(seed, value))
      seen[n .. " " .. from] = true
      counted = counted + (tonumber(from) < 800 and count or 0)
    end
    assert.same({}, test:rejects())
    assert.equal(total, counted, "seed " .. seed)
  end)

  it("moves by the clock when nothing comes in any of them", function()
    local test = open [[tide.window { size = "50ms", clock_after = "1h", add = function(n) return (n or 0) + 1 end,
      result = function(value, of) return of.key .. " " .. value end },]]
    test:feed { topic = "a", key = "k", timestamp = 10 }
    test:feed { topic = "a", key = "k", timestamp = 900 }
    assert.same({}, test:values()) -- b holds it
    test:advance("59min")
    test:feed { topic = "b", key = "k", timestamp = 20 }
    test:advance("59min")
    assert.same({}, test:values())
    test:advance("2min")
    assert.same({ "k 1", "k 2" }, (function(list) table.sort(list) return list end)(test:values()))
  end)
end)
