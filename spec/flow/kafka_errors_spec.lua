-- SPDX-License-Identifier: MIT
-- Errors that brokers answer with, made by a mock Kafka: commits that fail, leaders and coordinators that move.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local mock_kafka = require "spec.support.mock_kafka"
local wait = require "spec.support.wait"

describe("with a mock Kafka", function()
  local mock, input, output, group, fed

  local function start(more)
    local made = {
      source = { topic = input, group = group, start = "earliest",
        rdkafka = { ["session.timeout.ms"] = mock_kafka.SESSION_MS, ["heartbeat.interval.ms"] = 300 } },
      produce = { topic = output }, commit = { policy = { min_time = "100ms" } },
    }
    for name, value in pairs(more or {}) do made[name] = value end
    return engine.start(made)
  end

  -- A source with a longer session, by default that of librdkafka: where nothing is committed for a minute, a busy
  -- machine that is late for a short one would have the messages read twice.
  local function patient(session_ms)
    return { topic = input, group = group, start = "earliest", rdkafka = { ["session.timeout.ms"] = session_ms } }
  end

  local function feed(count)
    kafka.produce(input, inputs.numbers(fed + 1, fed + count))
    fed = fed + count
  end

  local function start_mock(brokers)
    mock, fed, group = mock_kafka.start(brokers), 0, kafka.group()
    input, output = mock:topic(4), mock:topic(4)
  end

  after_each(function()
    engine.stop_all()
    mock_kafka.stop_all()
  end)

  it("a commit that fails is covered by the next one", function()
    start_mock()
    local run = start()
    run:wait_for("partitions assigned")
    for _, name in ipairs { "request_timed_out", "coordinator_load_in_progress", "coordinator_not_available",
      "not_coordinator", "rebalance_in_progress", "illegal_generation", "unknown_member_id" } do
      mock:fail("offset_commit", name)
      feed(100)
      inputs.wait_committed(group, input)
    end
    run:drain()
    local report = run:report()
    assert.is_true(report.metrics["consumer.commit_status{status=error}"] >= 3, run:stderr())
    inputs.at_least_once(output, fed)
  end)

  it("last commits that fail are tried again once a second, and given up", function()
    start_mock()
    local run = start { source = patient(6000), commit = { policy = { min_time = "60s" } } }
    feed(100)
    wait.until_true(function() return run:total("produced") == 100 end, "100 delivered")
    mock:fail("offset_commit", "rebalance_in_progress", 100)
    run:drain()
    local failed = run:report().metrics["consumer.commit_status{status=error}"]
    assert.is_true(failed >= 2 and failed <= 10, failed .. " failed commits")
    mock:tell("clear", mock_kafka.API.offset_commit)
    assert.same({}, kafka.committed(group, input))
    run = start { source = patient(20000) } -- the group has the other one until the end of its session
    inputs.wait_committed(group, input)
    run:drain()
    inputs.at_least_once(output, 100)
  end)

  it("a commit that takes its time is waited for at the end", function()
    start_mock()
    local run = start { source = patient(), commit = { policy = { min_time = "60s" } } }
    feed(100)
    wait.until_true(function() return run:total("produced") == 100 end, "100 delivered")
    mock:tell("late", 1, mock_kafka.API.offset_commit, 500) -- of the 3 s that it is waited for
    run:drain()
    assert.is_true(run:report().metrics["consumer.commit.time"].max >= 0.5)
    assert.same((kafka.ends(input)), kafka.committed(group, input))
  end)

  -- Its exit code and whether it had lost its partitions by then, when the answer to a commit comes after `late` ms.
  local function fenced(late)
    start_mock()
    local run = start { source = { topic = input, group = group, start = "earliest", instance = "one",
      rdkafka = { ["session.timeout.ms"] = 6000, ["heartbeat.interval.ms"] = 2900 } } }
    run:wait_for("partitions assigned")
    mock:tell("late", 1, mock_kafka.API.offset_commit, late, mock_kafka.ERROR.fenced_instance_id)
    feed(100)
    local code = run.process:wait()
    local lost = run:says("partitions lost")
    engine.stop_all()
    mock_kafka.stop_all()
    return code, lost
  end

  it("a group that the brokers cannot describe is read all the same", function()
    start_mock()
    local run = start { source = { topic = input, group = group, start = "earliest", instance = "one" } }
    run:wait_for("whether each partition is read is not known: Local: Required feature not supported by broker")
    feed(100)
    inputs.wait_committed(group, input)
    run:drain()
  end)

  it("a commit refused as fenced ends the engine for good", function()
    assert.same({ 76, false }, { fenced(0) })
  end)

  -- The first heartbeat is sent when the group has been joined, and soon after it the commit. The answer of the second
  -- one waits for that of the commit, which has to come after the end of the session (6 s after the last answer), and
  -- before the second heartbeat is given up (6 s after it was sent, at 2.9 s): it is half-way, and a busy machine may
  -- miss it.
  it("a commit that outlived its membership and is refused as fenced ends it for now", function()
    for _ = 1, 4 do
      local code, lost = fenced(7400)
      if lost then return assert.equal(75, code) end
    end
    error "the answer came before the end of the session four times"
  end)

  it("a request that is refused as fenced between two memberships ends it for now", function()
    start_mock()
    local run = start { source = { topic = input, group = group, start = "earliest", instance = "one",
      rdkafka = { ["session.timeout.ms"] = mock_kafka.SESSION_MS, ["heartbeat.interval.ms"] = 300 } } }
    run:wait_for("partitions assigned")
    mock:fail("sync_group", "fenced_instance_id")
    mock:fail("heartbeat", "unknown_member_id")
    run:ends_with(75)
    assert.is_true(run:says "a request of this engine outlived its membership")
  end)

  -- Moves the leaders of one topic, and the coordinator, while 20,000 messages go through.
  local function under_moves(topic)
    feed(20000)
    local run = start { task_options = { processes = 2, max_batch_size = 200 },
      task = "function(message) local x = 0; for i = 1, 20000 do x = x + i % 7 end; return message end" }
    for round = 1, 12 do
      wait.until_true(function() return inputs.count(output) >= round * 1000 end, "output")
      for partition = 0, 3 do mock:tell("leader", topic, partition, (round + partition) % 3 + 1) end
      if round % 4 == 0 then mock:tell("coordinator", group, round / 4) end
    end
    inputs.wait_committed(group, input)
    run:drain()
    local report = run:report()
    assert.is_true(report.produced >= 20000)
    -- On a machine so busy that the session ended, or a request that had been taken was sent again too late.
    local twice = run:says "partitions lost" or run:says "the producer is replaced"
    inputs[twice and "first_in_order" or "in_order"](output)
    return twice
  end

  it("leaders of the input move under load: nothing is lost, and the order of keys is kept", function()
    start_mock(3)
    local twice = under_moves(input)
    inputs[twice and "at_least_once" or "once"](output, 20000)
  end)

  -- Not that nothing is lost: the mock takes batches out of their sequence, which a broker refuses. So librdkafka may
  -- take one that was refused for its leader as written, since a later one of its partition is.
  it("leaders of the output move under load: all is acknowledged, and the order of keys is kept", function()
    start_mock(3)
    under_moves(output)
  end)
end)
