-- SPDX-License-Identifier: MIT
-- What an export costs the engine's thread once a second: rendering /metrics, and making the packets of StatsD, for
-- three steps and 200 partitions, in microseconds (the median of 200).
--   luajit scripts/bench/exporters.lua [PARTITIONS]
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
local prometheus = require "tidemill.metrics.prometheus"
local statsd = require "tidemill.metrics.statsd"
local testing = require "tidemill.testing"
local tide = require "tidemill"

local ROUNDS = 200

-- A run of 3 steps that has had some messages, so that no counter is 0 for long.
local function start()
  local function step(fn) return tide.run_task_with_multiprocessing { fn, processes = 1, max_batch_size = 10 } end
  local test = testing.steps { step(function(m)
    tide.metric.count("seen")
    return m
  end), step(function(m) return m end), step(function(m) return m end) }
  local messages = {}
  for i = 1, 500 do messages[i] = tostring(i) end
  return test:feed(unpack(messages)):finish()
end

local function median_us(fn)
  local times = {}
  for i = 1, ROUNDS do
    local from = os.clock()
    fn()
    times[i] = (os.clock() - from) * 1e6
  end
  table.sort(times)
  return times[ROUNDS / 2]
end

local test = start()
local snapshot = { totals = test:totals(), partitions = {}, metrics = test:metrics(), time = 0, uptime = 0 }
for i = 1, tonumber(arg[1]) or 200 do
  snapshot.partitions[i] = { topic = "orders", partition = i - 1, lag = i * 100, lag_seconds = i / 10 }
end
local page = prometheus.new(test.engine, test.plan, {})
local packets = 0
local sender = statsd.new(test.engine, test.plan, {}, function() packets = packets + 1 end)
print(("partitions %d"):format(#snapshot.partitions))
print(("prometheus %.0f us, %d bytes"):format(median_us(function() page:render(snapshot) end), #page:text(snapshot)))
print(("statsd     %.0f us"):format(median_us(function() sender:second(snapshot) end)))
testing.close()
