-- SPDX-License-Identifier: MIT
-- Engines in process for scripts/bench/scaling.lua: memory source, one step, memory sink that counts.
local C = require("tidemill.run.ffi").C
local flow = require "spec.support.flow"
local tree = require "scripts.bench.tree"
local wait = require "spec.support.wait"

local engine_runs = {}

local WARM = 100000 -- messages that do not count: traces are compiled, blocks are touched

local function options_of(given)
  local step = { given.fn }
  for _, name in ipairs { "max_batch_size", "input_block_size", "output_block_size" } do step[name] = given[name] end
  return { pools = { given.processes or 1 }, partitions = given.partitions or 16, steps = { step } }
end

--- Starts an engine whose source repeats `distinct` messages of `bytes`. given: fn, processes, partitions, bytes (270),
--- distinct (1024, one a partition at least), messages (endless), sizes of the step.
function engine_runs.start(given)
  local run = assert(flow.new(options_of(given)))
  local partitions = given.partitions or 16
  for i = 1, math.max(given.distinct or 1024, partitions) do
    local text = ('{"id":%d,"level":"info","value":%d,"text":"'):format(i, i * 7)
    run:push { value = text .. ("t"):rep((given.bytes or 270) - #text - 2) .. '"}', timestamp = i,
      partition = i % partitions }
  end
  C.tide_memory_repeat(run.source, given.messages or 1e12)
  C.tide_memory_discard(run.sink)
  return run:start()
end

--- Turns it to its end, without a pause (flow's own turns make some, for specs). Returns the totals.
function engine_runs.finish(run)
  C.tide_memory_end(run.source)
  if not run.started then run:start() end
  local event
  repeat event = run.engine:run(1) until event.kind == "done" or event.kind == "failed"
  assert(event.kind == "done", event.text)
  return run.engine:totals()
end

--- Turns it until `fn` returns true, without a pause. A turn takes at most `seconds` (0.02).
local function turn_until(run, fn, seconds)
  repeat
    local event = run.engine:run(seconds or 0.02)
    assert(event.kind ~= "failed", event.text)
  until fn(run.engine:totals())
end

--- Turns it for some seconds; returns how many messages were delivered a second.
function engine_runs.turn(run, seconds)
  local before, began = run.engine:totals().produced_from, wait.now()
  turn_until(run, function() return wait.now() - began >= seconds end)
  return (run.engine:totals().produced_from - before) / (wait.now() - began)
end

--- Messages a second for `seconds`, after `settle` seconds that do not count.
function engine_runs.rate(given)
  local run = engine_runs.start(given)
  engine_runs.turn(run, given.settle)
  local rate = engine_runs.turn(run, given.seconds)
  run:free()
  return rate
end

--- Processor time of engine and worker for each of given.messages, in ns, and the memory of all processes at the end.
function engine_runs.cost(given)
  local wanted = given.messages
  given.messages = wanted + WARM
  local run = engine_runs.start(given)
  given.messages = wanted
  turn_until(run, function(totals) return totals.produced_from >= WARM end, 0.001)
  local from, cpu, worker = run.engine:totals().produced_from, os.clock(), run:metric(1, "WORKER_CPU_TIME").count
  turn_until(run, function(totals) return totals.produced_from == wanted + WARM end)
  local count = wanted + WARM - from
  local result = { engine = (os.clock() - cpu) / count * 1e9,
    worker = (run:metric(1, "WORKER_CPU_TIME").count - worker) / count * 1e3,
    memory = tree.memory(tree.pids(io.open("/proc/self/stat"):read "*n")) }
  run:free()
  return result
end

--- Seconds from nothing to the first result, with that many workers.
function engine_runs.first_result(processes)
  local began = wait.now()
  local run = assert(flow.new { pools = { processes }, steps = { { function(message) return message end } } })
  run:push { value = "x", timestamp = 1, partition = 0 }
  run:start()
  turn_until(run, function(totals) return totals.produced == 1 end, 0.0005)
  local seconds = wait.now() - began
  run:free()
  return seconds
end

return engine_runs
