-- SPDX-License-Identifier: MIT
-- An outage: the broker is killed while messages flow, and comes back.
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local gate = require "spec.support.gate"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

kafka.describe("under load", { partitions = 4 }, function(t)
  after_each(gate.remove_all)

  it("a broker that dies and comes back is waited for; nothing is lost, and the order of keys is kept", function()
    local count = 30000
    kafka.produce(t.input, inputs.numbers(1, count))
    local run = engine.start(t:definition {
      source = { rdkafka = { ["session.timeout.ms"] = 2000, ["heartbeat.interval.ms"] = 300 } },
      commit = { policy = { min_time = "100ms" } },
      task = "function(message) local x = 0; for i = 1, 20000 do x = x + i % 7 end; return message end",
      task_options = { processes = 2, max_batch_size = 200 },
    })
    wait.until_true(function() return inputs.count(t.output) > 5000 end, "output")
    kafka.kill_broker()
    run:wait_for("no broker can be reached; waiting")
    kafka.restart_broker()
    inputs.wait_committed(t.group, t.input)
    run:wait_for("brokers are back")
    run:drain()
    inputs.at_least_once(t.output, count)
    inputs.first_in_order(t.output)
    local report = run:report()
    assert.is_true(report.produced_from <= report.read)
  end)

  it("a broker that stands still is noticed by an engine that has nothing to do, and its lag is not known", function()
    -- The session alone would end far later than anything here is waited for.
    local run = engine.start(t:definition { source = { instance = "one",
      rdkafka = { ["session.timeout.ms"] = 240000 } } })
    run:wait_for "lag 0 ("
    process.pause(kafka.broker_pid())
    finally(function() process.resume(kafka.broker_pid()) end)
    run:wait_for "no broker can be reached; waiting"
    wait.until_true(function() return run:stderr():find "no broker can be reached; waiting.*lag unknown" end,
      function() return run:stderr() end)
    process.resume(kafka.broker_pid())
    run:wait_for "brokers are back"
    kafka.produce(t.input, { { value = "1" } })
    inputs.wait_committed(t.group, t.input)
    run:drain()
    assert.equal(1, inputs.count(t.output))
  end)

  it("an outage longer than the session repeats a commit's interval, and what lay in the producer, at most", function()
    local count, held = 20000, 1000
    kafka.produce(t.input, inputs.numbers(1, count))
    local run = engine.start(t:definition {
      source = { rdkafka = { ["session.timeout.ms"] = 2000, ["heartbeat.interval.ms"] = 300 } },
      produce = { topic = t.output, max_buffer_size = held }, commit = { policy = { min_time = "100ms" } },
      task = "function(message) local x = 0; for i = 1, 100000 do x = x + i % 7 end; return message end",
      task_options = { processes = 1, max_batch_size = 200 },
    })
    wait.until_true(function() return inputs.count(t.output) > 10000 end, "output")
    process.pause(kafka.broker_pid())
    finally(function() process.resume(kafka.broker_pid()) end)
    run:wait_for("partitions lost")
    process.resume(kafka.broker_pid())
    inputs.wait_committed(t.group, t.input)
    run:drain()
    inputs.at_least_once(t.output, count)
    inputs.first_in_order(t.output)
    local twice = inputs.count(t.output) - count
    local late = run:report().metrics["consumer.late_reports"]
    local _, losses = run:stderr():gsub("partitions lost", "") -- a busy machine may lose the session twice
    assert.is_true(late <= held * losses, late .. " late reports")
    -- What a worker does in 0.1 s, and while a commit is under way; without commits it would be 10,000 and more.
    assert.is_true(twice <= late + 5000 * losses, twice .. " came twice")
  end)

  -- A client whose session has timed out sends heartbeats without a member id until its partitions are given back; a
  -- broker that knows the instance by another id calls that fenced, and librdkafka cannot go on.
  it("a static member whose session ends in an outage joins again, also while a transaction is read again", function()
    local held, count = gate.new(), 3000
    kafka.produce(t.input, inputs.numbers(1, count))
    local run = engine.start(t:definition { settings = { delivery = "exactly_once" },
      source = { instance = "one",
        -- Long enough that no session ends before the outage: its assignment would be held in place of the rewind.
        rdkafka = { ["session.timeout.ms"] = 6000, ["heartbeat.interval.ms"] = 300, debug = "cgrp" } },
      commit = { policy = { min_time = "50ms" } } },
      { program = faults.folder .. "/tidemill", args = { "--log-level", "debug" },
        env = { TIDE_FAULTS = ("kafka.fatal=1500:errno:5,kafka.resolve=2:gate:%s"):format(held.path) } })
    held:reached()
    kafka.kill_broker()
    run:wait_for "Consumer group session timed out"
    kafka.restart_broker()
    wait.until_true(function() return run:stderr():find "session timed out.*JoinGroup response: GenerationId" end,
      "another membership")
    held:open()
    inputs.wait_committed(t.group, t.input)
    run:drain()
    local seen = inputs.seen(t.output)
    for i = 1, count do assert.equal(1, seen[i], "message " .. i) end
  end)
end)
