-- SPDX-License-Identifier: MIT
-- Messages a second through submit -> worker -> result without a Kafka: memory source, one worker that returns the
-- message, memory sink that counts. Distinct messages of about 270 bytes over 16 partitions; the median of five runs.
local C = require("tidemill.run.ffi").C
local engine_runs = require "scripts.bench.engine_runs"
local flow = require "spec.support.flow"

local quick = os.getenv("BENCH_QUICK") == "1"
local messages, runs, partitions, distinct = quick and 2e6 or 10e6, 5, 16, 1024

local function once()
  local run = assert(flow.new { partitions = partitions, steps = { { function(message) return message end } } })
  for i = 1, distinct do
    local value = ('{"id":%d,"level":"info","value":%d,"text":"%s"}'):format(i, i * 7, ("t"):rep(220))
    run:push { value = value, timestamp = i, partition = i % partitions }
  end
  C.tide_memory_repeat(run.source, messages)
  C.tide_memory_discard(run.sink)
  local totals = engine_runs.finish(run)
  run:free()
  assert(totals.produced_from == messages)
  return totals.read / totals.seconds
end

local rates = {}
for i = 1, runs do rates[i] = once() end
table.sort(rates)
print(("In process, one worker, identity: %.2f million messages/s (median of %d runs of %d; %.2f to %.2f)\n")
  :format(rates[3] / 1e6, runs, messages, rates[1] / 1e6, rates[runs] / 1e6))
