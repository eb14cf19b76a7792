-- SPDX-License-Identifier: MIT
-- When offsets are committed, and what a restart makes of them.
local engine = require "spec.support.engine"
local kafka = require "spec.support.kafka"
local inputs = require "spec.support.inputs"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

kafka.describe("committed offsets", { partitions = 2 }, function(t)
  local function committed()
    local sum = 0
    for _, offset in pairs(kafka.committed(t.group, t.input)) do sum = sum + offset end
    return sum
  end

  local function wait_committed(count)
    wait.until_true(function() return committed() == count end,
      function() return ("%d committed, there are %d"):format(count, committed()) end)
  end

  it("committed offsets are those of each message with policy immediate", function()
    local run = engine.start(t:definition { commit = { policy = "immediate" } })
    for i = 1, 5 do
      kafka.produce(t.input, inputs.numbers(i, i))
      wait_committed(i)
    end
    run:drain()
    assert.is_true(run:report().metrics["consumer.commit_status{status=ok}"] >= 5)
  end)

  it("committed offsets follow once a second with policy once_per_second", function()
    local run = engine.start(t:definition { commit = { policy = "once_per_second" } })
    local from, before, count, times = wait.now(), 0, 0, 0
    wait.until_true(function()
      kafka.produce(t.input, inputs.numbers(count + 1, count + 10))
      count = count + 10
      local seen = committed()
      assert(seen >= before and seen <= count)
      if seen > before then times = times + 1 end
      before = seen
      return times == 3
    end, "three commits")
    run:drain()
    local seconds = wait.now() - from
    assert.equal(count, committed())
    local commits = run:report().metrics["consumer.commit_status{status=ok}"]
    assert.is_true(commits >= 3 and commits <= seconds + 2, ("%d commits in %g s"):format(commits, seconds))
  end)

  it("committed offsets wait for min_messages", function()
    local run = engine.start(t:definition { commit = { policy = { min_messages = 100 } } })
    kafka.produce(t.input, inputs.numbers(1, 99))
    kafka.consume(t.output, { n = 99 })
    assert.equal(0, committed())
    kafka.produce(t.input, inputs.numbers(100, 100))
    wait_committed(100)
    kafka.produce(t.input, inputs.numbers(101, 150))
    kafka.consume(t.output, { n = 150 })
    assert.equal(100, committed())
    run:drain()
    assert.equal(150, committed())
  end)

  it("committed offsets wait for min_time, or for min_messages if they come first", function()
    local run = engine.start(t:definition { commit = { policy = { min_time = "1500ms", min_messages = 50 } } })
    kafka.produce(t.input, inputs.numbers(1, 10))
    wait_committed(10)
    kafka.produce(t.input, inputs.numbers(11, 60))
    wait_committed(60)
    run:drain()
  end)

  it("committed offsets are where the next run of the group goes on, also after a SIGTERM under load", function()
    local gate = os.tmpname()
    os.remove(gate)
    finally(function() os.remove(gate) end)
    kafka.produce(t.input, inputs.numbers(1, 60000))
    local first = engine.start(t:definition { task_options = { processes = 2, max_batch_size = 200 },
      settings = { message_timeout = "10min", files = { read = "/tmp" } },
      -- However fast they are, the workers are busy when it is to stop.
      task = ([[function(message)
        if tonumber(message.value) > 40000 then repeat until io.open(%q) end
        return message
      end]]):format(gate) })
    wait.until_true(function() return inputs.count(t.output) > 5000 end, "output")
    first:signal("TERM")
    first:wait_for("SIGTERM")
    assert(io.open(gate, "w")):close()
    first:ends_with(0)
    local read = first:report().read
    assert.is_true(read > 5000 and read < 60000, "the load was over before the signal: " .. read)
    assert.equal(read, first:report().produced)
    assert.equal(read, committed())
    local second = engine.run(t:definition())
    assert.equal(60000 - read, second:report().read)
    inputs.once(t.output, 60000)
  end)

  it("committed offsets lose nothing when the engine is killed", function()
    local source = { instance = "one" }
    for round = 1, 3 do
      local before, committed_before = inputs.count(t.output), committed()
      kafka.produce(t.input, inputs.numbers(round * 5000 - 4999, round * 5000))
      -- The last few are never done: there is work whenever it is killed.
      local run = engine.start(t:definition { source = source, commit = { policy = { min_time = "100ms" } },
        task_options = { max_batch_size = 100 }, settings = { message_timeout = "10min" },
        task = ("function(message) while tonumber(message.value) > %d do end return message end"):format(
          round * 5000 - 500) })
      wait.until_true(function()
        return inputs.count(t.output) > before + 1000 and committed() > committed_before
      end, "output, and a commit")
      local pids = run:processes()
      run:signal("KILL")
      wait.until_true(function() return not run.process:running() and #process.living(pids) == 0 end,
        "the end of all its processes")
    end
    local done = committed()
    assert.is_true(done > 0 and done < 15000, done .. " committed")
    assert.equal(15000 - done, engine.run(t:definition { source = source }):report().read)
    inputs.at_least_once(t.output, 15000)
  end)

  for name, code in pairs { INT = 130, TERM = 143 } do
    it("committed offsets are not waited for at a second SIG" .. name, function()
      t.input = kafka.topic(1)
      kafka.produce(t.input, inputs.numbers(1, 10))
      local run = engine.start(t:definition { commit = { policy = "immediate" }, task_options = { max_batch_size = 1 },
        task = "function(message) if message.value == '3' then while true do end end return message end" })
      wait.until_true(function() return inputs.count(t.output) >= 2 end, "the first messages")
      local pids = run:processes()
      run:signal(name)
      run:wait_for("a second one leaves at once")
      run:signal(name)
      run:ends_with(code) -- 0 once join_timeout has passed
      wait.until_true(function() return #process.living(pids) == 0 end, "the end of all its processes")
      assert.is_true(committed() <= 9)
    end)
  end
end)
