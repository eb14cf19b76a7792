-- SPDX-License-Identifier: MIT
-- SIGTERM in each phase of a run: it ends within its bound (join_timeout, and a few seconds where the brokers do not
-- answer) with code 0, leaves no process, and loses nothing: a second run brings out what the first did not.
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local gate = require "spec.support.gate"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local WORK = "function(message) local x = 0; for i = 1, 20000 do x = x + i % 7 end; return message end"
local HANG = "function(message) while true do end end"

kafka.describe("SIGTERM", { partitions = 2 }, function(t)
  local stopped

  local function source(session_ms)
    return { rdkafka = { ["session.timeout.ms"] = session_ms or 6000, ["heartbeat.interval.ms"] = 300 } }
  end

  local function start(more, options)
    return engine.start(t:definition({ source = source(), commit = { policy = { min_time = "100ms" } },
      task_options = { processes = 2, max_batch_size = 100 }, settings = { join_timeout = "1s" } }, more), options)
  end

  local function with_fault(armed)
    return { program = faults.folder .. "/tidemill", env = { TIDE_FAULTS = armed } }
  end

  local function stop_broker()
    stopped = kafka.broker_pid()
    process.pause(stopped)
  end

  local function resume_broker()
    if stopped then process.resume(stopped) end
    stopped = nil
  end

  -- The end, within `seconds`, and nothing left. Default: join_timeout, and all that brokers may be waited for.
  -- at: called when the signal is sent.
  local function term(run, seconds, at)
    local pids = run:processes()
    assert.is_true(#pids >= 2, "no zygote")
    run:signal("TERM")
    if at then at() end
    run:ends_with(0, seconds or 25)
    wait.until_true(function() return #process.living(pids) == 0 end, "the end of all its processes")
  end

  -- What is left is read by another run.
  local function nothing_lost(count)
    engine.run(t:definition { source = source() })
    inputs.at_least_once(t.output, count)
    assert.same(kafka.ends(t.input), kafka.committed(t.group, t.input))
  end

  after_each(function()
    resume_broker()
    gate.remove_all()
  end)

  it("SIGTERM ends a run while no broker can be reached", function()
    local run = start { source = { brokers = "127.0.0.1:1" } }
    run:wait_for("Connection refused")
    term(run)
  end)

  it("SIGTERM ends a run while the broker takes connections and says nothing", function()
    assert(t.input and t.output) -- made while it still answers
    stop_broker()
    local run = start()
    run:workers(2)
    term(run)
  end)

  it("SIGTERM ends a run while it waits for messages", function()
    local run = start()
    run:wait_for("partitions assigned")
    term(run)
  end)

  it("SIGTERM ends a run while a batch is open: it is closed, and comes out", function()
    kafka.produce(t.input, inputs.numbers(1, 10))
    local run = start { task_options = { processes = 1, eager = false, max_batch_time = "60s" },
      settings = { join_timeout = "25s" } } -- long, since the batch has to come out in it
    wait.until_true(function() return run:total("read") == 10 end, "10 messages read")
    assert.equal(0, inputs.count(t.output))
    term(run, 40)
    inputs.once(t.output, 10)
    assert.same(kafka.ends(t.input), kafka.committed(t.group, t.input))
  end)

  it("SIGTERM ends a run while every worker hangs: join_timeout, and their messages are read again", function()
    kafka.produce(t.input, inputs.numbers(1, 10))
    local run = start { task = HANG, task_options = { eager = false } }
    wait.until_true(function() return run:total("read") == 10 end, "10 messages read")
    term(run)
    assert.is_true(run:says("join_timeout passed: 10 messages are not complete"), run:stderr())
    nothing_lost(10)
    inputs.once(t.output, 10)
  end)

  it("SIGTERM ends a run while every worker hangs at the end of the input: join_timeout", function()
    kafka.produce(t.input, inputs.numbers(1, 10))
    local run = start({ task = HANG, task_options = { eager = false } }, { args = { "--until-end" } })
    wait.until_true(function() return run:total("read") == 10 end, "10 messages read")
    term(run)
    assert.is_true(run:says("join_timeout passed: 10 messages are not complete"), run:stderr())
    nothing_lost(10)
  end)

  it("SIGTERM ends a run at the end of the input, of which a transaction is aborted: it is not read again", function()
    local closed = gate.new()
    local letters = kafka.topic(1, { ["max.message.bytes"] = 1000 })
    kafka.produce(t.input, { { value = ("x"):rep(2000) } })
    local run = start({
      head = ("local gate = %q"):format(closed.path),
      task = [[function(message)
        while not io.open(gate) do end
        return tide.reject "long"
      end]],
      dlq = { topic = letters, on_too_large = "fail" },
      settings = { delivery = "exactly_once", join_timeout = "10min", files = { read = "/tmp" } },
    }, { args = { "--until-end" } })
    wait.until_true(function() return run:total("read") == 1 end, "the message read")
    run:signal("TERM")
    run:wait_for("SIGTERM")
    closed:open()
    run:ends_with(0)
    assert.is_true(run:says("the transaction was aborted"), run:stderr())
    assert.same({}, kafka.committed(t.group, t.input))
  end)

  it("SIGTERM ends a run while the workers are busy: what was read comes out, once", function()
    kafka.produce(t.input, inputs.numbers(1, 20000))
    local run = start { task = WORK, settings = { join_timeout = "25s" } }
    wait.until_true(function() return inputs.count(t.output) > 1000 end, "output")
    term(run, 40)
    local report = run:report()
    assert.equal(report.read, report.produced)
    nothing_lost(20000)
    inputs.once(t.output, 20000)
  end)

  it("SIGTERM ends a run while the broker is gone and the producer holds messages", function()
    kafka.produce(t.input, inputs.numbers(1, 20000))
    local run = start { task = WORK, source = source(2000) } -- it cannot leave: the next run waits for its session
    wait.until_true(function() return inputs.count(t.output) > 1000 end, "output")
    kafka.kill_broker()
    run:wait_for("no broker can be reached")
    term(run)
    kafka.restart_broker()
    nothing_lost(20000)
  end)

  it("SIGTERM ends a run while the last commit is not answered", function()
    kafka.produce(t.input, inputs.numbers(1, 100))
    local run = start { commit = { policy = { min_time = "60s" } } }
    wait.until_true(function() return run:total("produced") == 100 end, "100 delivered")
    assert.same({}, kafka.committed(t.group, t.input))
    stop_broker()
    term(run)
    resume_broker()
    nothing_lost(100)
  end)

  it("SIGTERM ends a run while it finds out where to begin, which takes long", function()
    kafka.produce(t.input, inputs.numbers(1, 100))
    local stays = start()
    inputs.wait_committed(t.group, t.input)
    local run = start(nil, with_fault "kafka.resolve=1:delay:60000")
    stays:wait_for("partitions revoked")
    -- Both have their share, and `run` asks for the offsets of its own.
    wait.until_true(function() return select(2, stays:stderr():gsub("partitions assigned", "")) >= 2 end, "a share")
    assert.is_false(run:says("partitions assigned"))
    term(run, 30)
    kafka.produce(t.input, inputs.numbers(101, 200))
    inputs.wait_committed(t.group, t.input)
    term(stays)
    inputs.once(t.output, 200)
  end)

  it("SIGTERM ends a run while its partitions are taken away", function()
    kafka.produce(t.input, inputs.numbers(1, 20000))
    local revocation = gate.new()
    local run = start({ task = WORK, settings = { join_timeout = "25s" } },
      with_fault("engine.revoke=1:gate:" .. revocation.path))
    wait.until_true(function() return inputs.count(t.output) > 1000 end, "output")
    local other = start { task = WORK, settings = { join_timeout = "25s" } }
    revocation:reached()
    term(run, nil, function() revocation:open() end)
    inputs.wait_committed(t.group, t.input)
    term(other, 40)
    inputs.at_least_once(t.output, 20000)
  end)

  it("SIGTERM ends a run while the group is joining, which another holds up: the others do not wait for the one"
    .. " that left", function()
    local hangs = start { source = source(240000) }
    hangs:wait_for("partitions assigned")
    local stays = start { source = source(240000) }
    stays:wait_for("partitions assigned")
    hangs:signal("STOP")
    local function revoked() return select(2, stays:stderr():gsub("partitions revoked", "")) end
    local before = revoked()
    local leaves = start { source = source(240000) }
    -- It has heard of the newcomer, whose join waits for the one that hangs.
    wait.until_true(function() return revoked() > before end, "the rebalance")
    term(leaves, 60) -- before the session of the one that hangs ends
    assert.is_true(leaves:says("not waiting for the answer to the leave"), leaves:stderr())
    hangs:signal("CONT")
    kafka.produce(t.input, inputs.numbers(1, 100))
    -- As a member the one that left would have a partition until its session ends, and read nothing.
    inputs.wait_committed(t.group, t.input)
    term(hangs)
    term(stays)
    inputs.at_least_once(t.output, 100)
  end)
end)
