-- SPDX-License-Identifier: MIT
-- Longer chains, other ends, and what the report says of them.
local engine = require "spec.support.engine"
local files = require "spec.house.files"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local pipeline_file = require "spec.support.pipeline_file"
local wait = require "spec.support.wait"

local TASK = "strategies.run_task_with_multiprocessing."

kafka.describe("a chain", { partitions = 4 }, function(t)
  local function definition(steps, more)
    return t:definition({ steps = steps }, more)
  end

  it("a chain of two steps on one pool brings everything through in order", function()
    kafka.produce(t.input, inputs.numbers(1, 40000))
    local run = engine.run(definition(([[
      tide.run_task_with_multiprocessing { function(message)
        if tonumber(message.value) %% 4 == 0 then return nil end
        message.value = message.value .. " one"
        return message
      end, pool = pool, max_batch_size = 500 },
      tide.noop {},
      tide.run_task_with_multiprocessing { function(message)
        if message.value:find("7 one") then return tide.reject("seven") end
        return (message.value:gsub(" one", ""))
      end, pool = pool, max_batch_size = 300 },
      tide.produce { topic = %q }]]):format(t.output), {
      head = "local pool = tide.pool { processes = 2 }", dlq = { topic = kafka.topic(1) } }))
    inputs.in_order(t.output)
    local report = run:report()
    assert.same({ 40000, 26000, 26000, 10000, 4000 }, { report.read, report.produced, report.produced_from,
      report.filtered, report.dead_lettered })
    assert.equal(26000, inputs.count(t.output))
    assert.equal(1, report.metrics[TASK .. "pool.create{step=1}"])
    assert.equal(40000, report.metrics[TASK .. "batch.size.msg{step=1}"].sum)
    assert.equal(30000, report.metrics[TASK .. "batch.size.msg{step=2}"].sum)
    assert.same(kafka.ends(t.input), kafka.committed(t.group, t.input))
  end)

  it("a chain may end in a file, with offsets committed behind it", function()
    local path = pipeline_file.folder() .. "/out.jsonl"
    kafka.produce(t.input, inputs.numbers(1, 5000))
    local report = engine.run(definition(([[
      tide.run_task_with_multiprocessing { function(message) return message end, processes = 1 },
      tide.file_sink { path = %q }]]):format(path))):report()
    local seen, count = {}, 0
    for _, line in ipairs(files.lines(path)) do seen[line], count = true, count + 1 end
    assert.equal(5000, count)
    for i = 1, 5000 do assert.is_true(seen[tostring(i)]) end
    assert.same({ 5000, 5000 }, { report.read, report.produced })
    assert.same(kafka.ends(t.input), kafka.committed(t.group, t.input))
  end)

  it("a chain with --output leaves the output topic alone", function()
    kafka.produce(t.input, inputs.numbers(1, 100))
    local path = pipeline_file.folder() .. "/out.json"
    engine.run(definition(([[
      tide.run_task_with_multiprocessing { function(message) return message end, processes = 1 },
      tide.produce { topic = %q }]]):format(t.output)), { args = { "--output", path, "--output-format", "json" } })
    assert.equal(100, #files.lines(path))
    assert.equal(0, inputs.count(t.output))
  end)

  it("a chain reports what adds up", function()
    kafka.produce(t.input, inputs.numbers(1, 20000))
    local from = wait.now()
    local report = engine.run(definition(([[
      tide.run_task_with_multiprocessing { function(message)
        if tonumber(message.value) %% 5 == 0 then return nil end
        return message
      end, processes = 2, max_batch_size = 400, max_batch_time = "10min", eager = false },
      tide.produce { topic = %q }]]):format(t.output))):report()
    local metrics = report.metrics
    assert.equal(report.read, report.produced_from + report.filtered + report.dead_lettered)
    assert.same({ 20000, 16000, 16000, 4000, 0 }, { report.read, report.produced, report.produced_from,
      report.filtered, report.dead_lettered })
    local sizes, results = metrics[TASK .. "batch.size.msg"], metrics[TASK .. "output_batch.size.msg"]
    assert.same({ 20000, 16000 }, { sizes.sum, results.sum })
    assert.is_true(sizes.max <= 400 and sizes.min >= 1)
    local closed = 0
    for _, reason in ipairs { "size", "time", "block", "idle", "flush" } do
      closed = closed + metrics[TASK .. "batch.close{reason=" .. reason .. "}"]
    end
    assert.equal(sizes.count, closed)
    assert.is_true(metrics[TASK .. "batch.close{reason=size}"] >= 40)
    assert.equal(16000, metrics["producer.produce_status{status=ok}"])
    assert.equal(4, metrics["consumer.partitions_assigned.count"])
    assert.equal(2, metrics[TASK .. "processes"].last)
    assert.is_true(report.seconds > 0 and report.seconds < wait.now() - from)
    assert.equal(0, metrics["consumer.lag"].last)
  end)
end)
