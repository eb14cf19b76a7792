-- SPDX-License-Identifier: MIT
-- The metrics that only a broker can provoke, each at least once (spec/support/metrics_seen.lua); the others are in
-- spec/flow/metrics_spec.lua.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local metrics_seen = require "spec.support.metrics_seen"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

describe("the metrics of a broker", function()
  if not kafka.bootstrap() then return pending("needs a Kafka") end

  local seen = metrics_seen.new()
  local input, output, group

  local function definition(more)
    local made = { source = { topic = input, group = group, start = "earliest" }, produce = { topic = output } }
    for name, value in pairs(more or {}) do made[name] = value end
    return made
  end

  before_each(function() input, output, group = kafka.topic(2), kafka.topic(2), kafka.group() end)
  after_each(function()
    process.resume(kafka.broker_pid())
    engine.stop_all()
  end)
  teardown(function() assert.same({}, seen:missing "kafka") end)

  it("that answers, and keeps the producer waiting for a while", function()
    kafka.produce(input, inputs.numbers(1, 20000))
    local run = engine.start(definition {
      task = "function(message) local x = 0; for i = 1, 60000 do x = x + i % 7 end; return message end",
      task_options = { processes = 2, max_batch_size = 200 } }, { args = { "--log-level", "debug" } })
    local function seconds() return select(2, run:stderr():gsub("Z %l+ read ", "")) end
    wait.until_true(function() return inputs.count(output) > 2000 end, "output")
    process.pause(kafka.broker_pid())
    local before = seconds()
    wait.until_true(function() return seconds() >= before + 3 end, "three seconds")
    process.resume(kafka.broker_pid())
    inputs.wait_committed(group, input)
    run:drain()
    seen:add(run:report().metrics)
  end)

  it("that has transactions", function()
    kafka.produce(input, inputs.numbers(1, 100))
    seen:add(engine.run(definition { settings = { delivery = "exactly_once" } }):report().metrics)
  end)

  it("that refuses messages which are too large", function()
    output = kafka.topic(2, { ["max.message.bytes"] = 2000 })
    local letters = kafka.topic(1, { ["max.message.bytes"] = 2000 })
    kafka.produce(input, { { value = ("x"):rep(5000) } })
    local run = engine.run(definition { dlq = { topic = letters } })
    seen:add(run:report().metrics)
  end)
end)
