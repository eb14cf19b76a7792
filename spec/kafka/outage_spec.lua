-- SPDX-License-Identifier: MIT
-- An outage: the broker is killed while messages flow, and comes back.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

describe("under load", function()
  if not kafka.bootstrap() then return pending("needs a Kafka") end

  after_each(engine.stop_all)

  it("a broker that dies and comes back is waited for; nothing is lost, and the order of keys is kept", function()
    local input, output, group, count = kafka.topic(4), kafka.topic(4), kafka.group(), 30000
    kafka.produce(input, inputs.numbers(1, count))
    local run = engine.start {
      source = { topic = input, group = group, start = "earliest",
        rdkafka = { ["session.timeout.ms"] = 2000, ["heartbeat.interval.ms"] = 300 } },
      produce = { topic = output }, commit = { policy = { min_time = "100ms" } },
      task = "function(message) local x = 0; for i = 1, 20000 do x = x + i % 7 end; return message end",
      task_options = { processes = 2, max_batch_size = 200 },
    }
    wait.until_true(function() return inputs.count(output) > 5000 end, "output")
    kafka.kill_broker()
    run:wait_for("no broker can be reached; waiting")
    kafka.restart_broker()
    inputs.wait_committed(group, input)
    assert.is_true(run:says("brokers are back"), run:stderr())
    run:drain()
    inputs.at_least_once(output, count)
    inputs.first_in_order(output)
    local report = run:report()
    assert.is_true(report.produced_from <= report.read)
  end)

  it("a broker that stands still is noticed by an engine that has nothing to do, and its lag is not known", function()
    local input, output, group = kafka.topic(1), kafka.topic(1), kafka.group()
    local run = engine.start { source = { topic = input, group = group, start = "earliest", instance = "one" },
      produce = { topic = output } }
    run:wait_for "lag 0 ("
    process.pause(kafka.broker_pid())
    finally(function() process.resume(kafka.broker_pid()) end)
    local from = wait.now()
    run:wait_for "no broker can be reached; waiting"
    assert.is_true(wait.now() - from < 30, "it took its time") -- 40 s by the session alone
    wait.until_true(function() return run:stderr():find "no broker can be reached; waiting.*lag unknown" end,
      function() return run:stderr() end)
    process.resume(kafka.broker_pid())
    run:wait_for "brokers are back"
    kafka.produce(input, { { value = "1" } })
    inputs.wait_committed(group, input)
    run:drain()
    assert.equal(1, inputs.count(output))
  end)

  it("an outage longer than the session repeats a commit's interval, and what lay in the producer, at most", function()
    local input, output, group, count, held = kafka.topic(4), kafka.topic(4), kafka.group(), 20000, 1000
    kafka.produce(input, inputs.numbers(1, count))
    local run = engine.start {
      source = { topic = input, group = group, start = "earliest",
        rdkafka = { ["session.timeout.ms"] = 2000, ["heartbeat.interval.ms"] = 300 } },
      produce = { topic = output, max_buffer_size = held }, commit = { policy = { min_time = "100ms" } },
      task = "function(message) local x = 0; for i = 1, 20000 do x = x + i % 7 end; return message end",
      task_options = { processes = 1, max_batch_size = 200 },
    }
    wait.until_true(function() return inputs.count(output) > 5000 end, "output")
    process.pause(kafka.broker_pid())
    finally(function() process.resume(kafka.broker_pid()) end)
    run:wait_for("partitions lost")
    process.resume(kafka.broker_pid())
    inputs.wait_committed(group, input)
    run:drain()
    inputs.at_least_once(output, count)
    inputs.first_in_order(output)
    local twice = inputs.count(output) - count
    local late = run:report().metrics["consumer.late_reports"]
    local _, losses = run:stderr():gsub("partitions lost", "") -- a busy machine may lose the session twice
    assert.is_true(late <= held * losses, late .. " late reports")
    assert.is_true(twice <= late + 2000 * losses, twice .. " came twice") -- of 0.1 s, and of a commit under way
  end)
end)
