-- SPDX-License-Identifier: MIT
-- The metrics that only a broker can provoke, each at least once (spec/support/metrics_seen.lua); the others are in
-- spec/flow/metrics_spec.lua.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local metrics_seen = require "spec.support.metrics_seen"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

kafka.describe("the metrics of a broker", { partitions = 2 }, function(t)
  local seen = metrics_seen.new()

  after_each(function() process.resume(kafka.broker_pid()) end)
  teardown(function() assert.same({}, seen:missing "kafka") end)

  it("a run provokes the metrics of a broker that answers, and keeps the producer waiting for a while", function()
    kafka.produce(t.input, inputs.numbers(1, 20000))
    local run = engine.start(t:definition {
      task = "function(message) local x = 0; for i = 1, 60000 do x = x + i % 7 end; return message end",
      task_options = { processes = 2, max_batch_size = 200 } }, { args = { "--log-level", "debug" } })
    local function seconds() return select(2, run:stderr():gsub("Z %l+ read ", "")) end
    wait.until_true(function() return inputs.count(t.output) > 2000 end, "output")
    process.pause(kafka.broker_pid())
    local before = seconds()
    wait.until_true(function() return seconds() >= before + 3 end, "three seconds")
    process.resume(kafka.broker_pid())
    inputs.wait_committed(t.group, t.input)
    run:drain()
    seen:add(run:report().metrics)
  end)

  it("a run provokes the metrics of a broker that has transactions", function()
    kafka.produce(t.input, inputs.numbers(1, 5000))
    seen:add(engine.run(t:definition { settings = { delivery = "exactly_once" }, commit = { policy = "immediate" },
      produce = { topic = t.output, max_buffer_size = 500 } }):report().metrics)
  end)

  it("a run provokes the metrics of a broker that refuses messages which are too large", function()
    t.output = kafka.topic(2, { ["max.message.bytes"] = 2000 })
    kafka.produce(t.input, { { value = ("x"):rep(5000) } })
    local run = engine.run(t:definition { dlq = { topic = kafka.topic(1, { ["max.message.bytes"] = 2000 }) } })
    seen:add(run:report().metrics)
  end)
end)
