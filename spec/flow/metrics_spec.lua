-- SPDX-License-Identifier: MIT
-- Every metric of the list tells something: pipelines that provoke each, so that a name nobody observes is found. Those
-- that only a broker can provoke are in spec/kafka/metrics_spec.lua; spec/support/metrics_seen.lua says which.
local ffi = require "ffi"
local metrics = require "tidemill.metrics"
local tide = require "tidemill"
local testing = require "tidemill.testing"
local flow = require "spec.support.flow"
local gate = require "spec.support.gate"
local log = require "spec.support.log"
local metrics_seen = require "spec.support.metrics_seen"
local wait = require "spec.support.wait"

pcall(ffi.cdef, "int kill(int pid, int signal);")
pcall(ffi.cdef, "int getpid(void);")

local C = testing.C
local TASK = "strategies.run_task_with_multiprocessing."

describe("the metrics", function()
  local test
  local seen = metrics_seen.new()

  local function start(...)
    test = testing.steps({ ... })
    return test
  end

  local function identity(message) return message end

  local function workers(options)
    options[1], options.processes = options[1] or identity, 1
    return tide.run_task_with_multiprocessing(options)
  end

  local function run_until(fn)
    wait.until_true(function() return fn(test.engine:run(0.01)) end)
  end

  local function keep(run)
    seen:add(metrics.collect(run.engine, { tables = { steps = { { kind = "TIDE_STEP_TASK" } } } }))
    run:free()
  end

  local function numbers(count, width)
    local list = {}
    for i = 1, count do list[i] = tostring(i):rep(width or 1) end
    return unpack(list)
  end

  after_each(function()
    gate.remove_all()
    if not test then return end
    seen:add(test:metrics())
    test:close()
    test = nil
  end)

  teardown(function() assert.same({}, seen:missing "flow") end)

  it("the metrics that no pipeline provokes at will are provoked by the specs of their modules", function()
    assert.same({}, metrics_seen.not_elsewhere())
  end)

  it("a pipeline provokes the metrics of batches: each reason to close one", function()
    start(workers { max_batch_size = 2, max_batch_time = "5s", eager = false }):feed(numbers(3))
    test:advance(6)
    test:feed("last"):finish()
    local values = test:metrics()
    for _, reason in ipairs { "size", "time", "flush" } do
      assert.equal(1, values[TASK .. ("batch.close{reason=%s}"):format(reason)])
    end
    assert.equal(4, values[TASK .. "batch.size.msg"].sum)
  end)

  it("a pipeline provokes the metrics of blocks: both are too small, and grow", function()
    start(workers { function(m) return m.value:rep(3) end, max_batch_size = 64, eager = false })
    test:feed(numbers(50, 30000)):finish()
    local values = test:metrics()
    for _, side in ipairs { "input_block.bytes", "output_block.bytes" } do
      assert.is_true(values[TASK .. side].max > values[TASK .. side].min)
    end
  end)

  it("a pipeline provokes the metrics of workers that are lost: by a signal, by themselves", function()
    start(workers { function(m)
      if m.value == "signal" then ffi.C.kill(ffi.C.getpid(), 9) end
      if m.value == "exit" then os.exit(3) end
      return m
    end, crash_retries = 0 })
    test:feed("signal", "exit")
    assert.equal(2, test:totals().dead_lettered)
  end)

  it("a pipeline provokes the metrics of workers that are replaced, since what they left makes no sense", function()
    start(workers { function(m)
      for line in io.lines(m.value == "nonsense" and "/proc/self/maps" or "/dev/null") do
        local address = line:match "^(%x+)%-%x+ rw.*memfd:tidemill%-block" -- the result before this one
        if address then ffi.fill(ffi.cast("char *", tonumber(address, 16)) + 64, 64, 255) end
      end
      return m
    end, max_batch_size = 2, eager = false })
    test:feed("spoiled", "nonsense")
    assert.is_true(test:metrics()[TASK .. "worker.lost{cause=protocol}"] > 0)
  end)

  it("a pipeline provokes the metrics of state: in memory and in the store, changed and expired", function()
    start(tide.keyed { function(m, state)
      state.value = (state.value or 0) + 1
      if m.value == "short" then state:expire "1ms" end
      return m
    end, state = "s" })
    for i = 1, 3 do test:push { key = "k" .. i, value = i == 2 and "short" or "x" } end
    test:feed { key = "k1", value = "y" }
    local then_ms = C.tide_clock_wall_ms()
    repeat until C.tide_clock_wall_ms() > then_ms + 2
    test:feed { key = "k1", value = "z" }
    test:finish()
    local values = test:metrics()
    assert.same({ 3, 2, 5, 1, 3 }, { values["state.lookup{kind=store}"], values["state.lookup{kind=memory}"],
      values["state.changes"], values["state.expired"], values["state.keys"].last })
    assert.is_true(values["state.bytes"].last > 0 and values["state.store.bytes"].last >= 16384)
    assert.is_true(values["state.store.time"].max > 0 and values["state.waiting"].max >= 1)
  end)

  it("a pipeline provokes the metrics of lanes: messages that wait for one that is full", function()
    start(tide.run_task_with_multiprocessing { identity, order = "key", processes = 2, max_batch_size = 1 })
    C.tide_memory_block(test.sink, true)
    for i = 1, 50 do test:push { key = "hot", value = tostring(i) } end
    run_until(function() return test:metrics()[TASK .. "lanes.waiting"].count > 0 end)
    C.tide_memory_block(test.sink, false)
    test:finish()
    assert.is_true(test:metrics()[TASK .. "lanes.waiting"].max > 1)
    assert.equal(0, test:metrics()[TASK .. "lanes.waiting"].last)
  end)

  it("a pipeline provokes the metrics of scripts: what cannot be counted", function()
    start(workers { function(m)
      require("tidemill").metric.count("n", m.value)
      return m
    end }):feed("no number"):finish()
    assert.equal(1, test:metrics()["consumer.script_metrics.dropped"])
  end)

  it("a pipeline provokes the metrics of filters, of reduce, of healthcheck", function()
    local path = os.tmpname()
    start(tide.healthcheck { path = path }, tide.filter { function(m) return m.value ~= "2" end },
      tide.reduce { function(sum, m) return (sum or "") .. m.value end, max_batch_size = 2, max_batch_time = "9s" })
    test:feed("1", "2"):advance(1):feed("3"):finish()
    os.remove(path)
  end)

  it("a pipeline provokes the metrics of the consumer: dead letters, a rebalance, latency and lag", function()
    start(workers { function(m) return m.value == "2" and error "bad" or m end })
    C.tide_memory_block(test.sink, true)
    for i = 1, 3 do test:push { value = tostring(i), timestamp = 1e12, partition = 1 } end
    C.tide_clock_advance(2e6)
    run_until(function(event) return event.kind == "second" end)
    C.tide_memory_block(test.sink, false)
    test:feed("x"):revoke(0):finish()
    local values = test:metrics()
    assert.is_true(values["consumer.latency"].max > 1e8) -- from the year 2001 on
  end)

  it("a pipeline provokes the metrics of a worker that takes too much memory", function()
    local hog = function() return { value = (" "):rep(32 * 2 ^ 20):rep(4) } end
    local run = flow.new { steps = { { hog } }, dlq = "/dev/null", worker_memory = 32 * 2 ^ 20 }
    run:push "x"
    assert.equal("done", run:finish().kind)
    keep(run)
  end)

  it("a pipeline provokes the metrics of workers at their limits: replaced, killed, lines that are dropped", function()
    local grow = function(m)
      if m.value == "slow" then
        for i = 1, 5 do print("line", i) end
        while true do end
      end
      rawset(_G, "kept", (" "):rep(64 * 2 ^ 20) .. m.value)
      return m
    end
    for name, limits in pairs { REPLACED_MESSAGES = { max_messages = 1 }, REPLACED_MEMORY = { max_growth = 2 ^ 20 },
      LOST_CPU = { max_cpu_time_us = 1e5, max_log_lines = 1 } } do
      local run = flow.new { steps = { { grow } }, dlq = "/dev/null", limits = limits }
      run:start()
      run:push(name == "LOST_CPU" and "slow" or "x")
      run:turn_until(function() return run:metric(1, "WORKER_" .. name).count > 0 end)
      if name == "LOST_CPU" then assert.equal(4, run:metric(1, "WORKER_LOG_DROPPED").count) end
      assert.equal("done", run:finish().kind)
      keep(run)
    end
  end)

  it("a pipeline provokes the metrics of reports that come after their partition went", function()
    start(workers {})
    C.tide_memory_hold(test.sink, true)
    test:feed("a"):revoke(0)
    C.tide_memory_hold(test.sink, false)
    test:finish()
  end)

  it("a pipeline provokes the metrics of what is tried again", function()
    local tried = 0
    start(workers { function(m)
      tried = tried + 1
      return tried == 1 and tide.retry "down" or m
    end }):feed("a"):advance(1):finish()
    assert.equal(1, test:metrics()[TASK .. "message.retry"])
    assert.equal(1, test:metrics()[TASK .. "batch.close{reason=retry}"])
    assert.is_true(test:metrics()[TASK .. "retry.time"] >= 1e5) -- the first pause, whichever clock has ended it
  end)

  it("a pipeline provokes the metrics of dead letters that nobody takes", function()
    local run = flow.new { steps = { { function() error "bad" end, max_batch_size = 1 } }, dlq = "/dev/full",
      max_buffered = 1 }
    run:push_numbers(9)
    run:start()
    run:turn_until(function()
      return run.engine:counter(0, C.TIDE_M_DLQ_EXCEEDED).count > 0 and run:metric(1, "BLOCKED_DLQ").count > 0
    end)
    keep(run)
  end)

  it("a pipeline provokes the metrics of lag: by partition, in messages and seconds", function()
    start(workers { max_batch_size = 1 })
    C.tide_memory_block(test.sink, true)
    for i = 0, 399 do test:push { value = "x", timestamp = i < 200 and 1e12 or 1.1e12, partition = i % 2 } end
    run_until(function() return test.engine:totals().lag > 0 end)
    C.tide_clock_advance(2e6)
    run_until(function(event) return event.kind == "second" end)
    local values, behind = test:metrics(), 0
    for partition = 0, 1 do
      local label = ("{topic=in,partition=%d}"):format(partition)
      behind = behind + values["consumer.lag" .. label]
    end
    assert.is_true(values["consumer.lag.seconds{topic=in,partition=0}"] > 1e8)
    assert.equal(values["consumer.lag"].last, behind)
    assert.is_true(behind > 0)
    assert.equal(0, values["consumer.lag{topic=in,partition=2}"])
    C.tide_memory_block(test.sink, false)
    test:finish()
    values = test:metrics()
    assert.same({ 0, 0 }, { values["consumer.lag{topic=in,partition=1}"], values["consumer.lag.seconds"].last })
  end)

  it("a pipeline provokes the metrics of backpressure, and of the pause after 5 s of it", function()
    start(workers { max_batch_size = 1 })
    C.tide_memory_block(test.sink, true)
    for _ = 1, 100 do test:push "x" end
    run_until(function() return test:metrics()[TASK .. "batch.backpressure"] > 0 end)
    C.tide_clock_advance(6e6)
    run_until(function() return test:metrics()["consumer.pause"] == 1 end)
    C.tide_memory_block(test.sink, false)
    test:finish()
    assert.is_true(test:metrics()["consumer.backpressure.time"].max > 5)
  end)

  it("a pipeline provokes the metrics of one slow message, which holds up the others", function()
    local held = gate.new()
    local slow = function(m)
      while m.value == "1" and not io.open(held.path) do ffi.C.poll(nil, 0, 1) end
      return m
    end
    local run = flow.new { steps = { { slow, max_batch_size = 1, eager = false } }, pools = { 2 } }
    run:start()
    run:turn_until(function() return run.engine:worker_pid(0, 0) and run.engine:worker_pid(0, 1) end)
    run:push_numbers(40)
    for _, name in ipairs { "BLOCKED_OLDEST", "WORKER_SLOW_MESSAGE_TIME" } do
      run:turn_until(function() return run:metric(1, name).count > 0 end, name)
    end
    held:open()
    assert.equal("done", run:finish().kind)
    keep(run)
  end)

  it("a pipeline provokes the metrics of steps that wait for what is to be tried again", function()
    local tried = 0
    local retried = { kind = "reduce", form = "reduce", initial_value = 0, result = tostring, of = function(_, m)
      tried = tried + 1
      return tried == 1 and tide.retry "down" or m.value
    end }
    local run = flow.new { steps = { { retried, max_batch_size = 1, eager = false, reduce = true } } }
    run:push_numbers(9)
    assert.equal("done", run:finish().kind)
    keep(run)
  end)

  it("a pipeline provokes the metrics of what is stuck; the log says what it waits for, once", function()
    start(workers {})
    C.tide_memory_hold(test.sink, true)
    test:feed("a")
    run_until(function() return test.engine:worker_pid(0, 0) end) -- that it comes is a movement too
    local said = log.of(function() for _ = 1, 30 do test:advance(1.1) end end)
    assert.is_truthy(said:find("stuck: nothing moved for 10 s, with 1 messages in flight: the output has not "
      .. "acknowledged what was sent", 1, true), said)
    assert.equal(1, select(2, said:gsub("stuck", "")))
    C.tide_memory_hold(test.sink, false)
    assert.is_truthy(log.of(function() test:advance(1.1):advance(1.1) end):find("moving again after", 1, true))
    assert.equal(1, test:metrics()["consumer.stuck"])
  end)
end)
