-- SPDX-License-Identifier: MIT
-- delivery = "exactly_once" on a real Kafka: outputs, dead letters and offsets become visible together, once.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local wait = require "spec.support.wait"

kafka.describe("exactly once", { input = { 2 }, output = { 3 } }, function(t)
  local function definition(more)
    return t:definition({ commit = { policy = { min_time = "50ms" } }, settings = { delivery = "exactly_once" } }, more)
  end

  local function fill(count)
    kafka.produce(t.input, inputs.numbers(1, count))
  end

  -- How often each value is there for who reads what is committed.
  local function seen(topic)
    local counts, total = {}, 0
    for _, message in ipairs(kafka.consume(topic)) do
      counts[message.value] = (counts[message.value] or 0) + 1
      total = total + 1
    end
    return counts, total
  end

  local function assert_once(count)
    local counts, total = seen(t.output)
    for i = 1, count do assert.equal(1, counts[tostring(i)], "message " .. i) end
    assert.equal(count, total)
  end


  it("exactly_once delivers each message once and commits its offset with it", function()
    fill(2000)
    local run = engine.run(definition())
    assert_once(2000)
    local total = 0
    for _, offset in pairs(kafka.committed(t.group, t.input)) do total = total + offset end
    assert.equal(2000, total)
    local report = run:report()
    assert.equal(2000, report.produced_from)
    assert.is_true(report.metrics["producer.transaction.time"].count >= 1)
    assert.equal(0, report.metrics["producer.transaction.aborted"])
  end)

  it("exactly_once has outputs of one message, dead letters and filtered ones in the same transaction", function()
    local letters = kafka.topic(1)
    fill(1200)
    local run = engine.run(definition { dlq = { topic = letters }, task = [[function(message)
      local n = tonumber(message.value)
      if n % 5 == 0 then return nil end
      if n % 7 == 0 then error("seven") end
      if n % 3 == 0 then return tide.many { message.value, message.value .. "b" } end
      return message
    end]], task_options = { processes = 2, max_batch_size = 50 } })
    local out, dead = seen(t.output), seen(letters)
    for n = 1, 1200 do
      local value = tostring(n)
      local bad = n % 5 ~= 0 and n % 7 == 0
      assert.equal(bad and 1 or nil, dead[value])
      assert.equal(n % 5 ~= 0 and not bad and 1 or nil, out[value])
      assert.equal(n % 5 ~= 0 and not bad and n % 3 == 0 and 1 or nil, out[value .. "b"])
    end
    local report = run:report()
    assert.equal(1200, report.read)
    assert.equal(1200, report.produced_from + report.filtered + report.dead_lettered)
  end)

  -- About 50 us a message, so that the load lasts.
  local SLOW = "function(message) local x = 0; for i = 1, 20000 do x = x + i % 7 end; return message end"

  local function member(instance)
    return engine.start(definition {
      source = { instance = instance, rdkafka = { ["session.timeout.ms"] = 6000, ["heartbeat.interval.ms"] = 300 } },
      task = SLOW, task_options = { processes = 1, max_batch_size = 100 },
    })
  end

  local function wait_committed()
    inputs.wait_committed(t.group, t.input)
  end

  it("exactly_once survives kill -9 of the engine at any moment: nothing is lost, nothing doubled", function()
    fill(20000)
    for round = 1, 4 do
      local run = member("one")
      wait.until_true(function() return inputs.count(t.output) >= round * 3000 end,
        function() return "output: " .. run:stderr() end)
      run:signal("KILL")
      run.process:wait()
    end
    local last = member("one")
    wait_committed()
    last:drain()
    assert_once(20000)
  end)

  it("exactly_once goes through engines that join and leave without a double", function()
    fill(20000)
    local stays = member()
    stays:wait_for("partitions assigned")
    for _ = 1, 3 do
      local other = member()
      other:wait_for("partitions assigned")
      other:drain()
    end
    wait_committed()
    stays:drain()
    assert_once(20000)
  end)

  it("exactly_once ends the older of two engines with one instance, with 76", function()
    fill(100)
    local older = member("same")
    older:wait_for("partitions assigned")
    local newer = member("same")
    older:ends_with(76)
    wait_committed()
    newer:drain()
    assert_once(100)
  end)

  it("exactly_once sends the one record that the broker refuses to the dead letters, and the others to"
    .. " their topic", function()
    local letters = kafka.topic(1)
    t.output = kafka.topic(1, { ["max.message.bytes"] = 2000 })
    local run = engine.start(definition { dlq = { topic = letters }, task = [[function(message)
      if message.value == "27" or message.value == "77" then message.value = ("x"):rep(4000) .. message.value end
      return message
    end]], produce = { topic = t.output, rdkafka = { ["compression.type"] = "none" } } })
    run:wait_for("partitions assigned")
    for _, count in ipairs { 100, 50 } do -- the second time nothing is known of the first any more
      fill(count)
      wait_committed()
    end
    run:drain()
    local out, total = seen(t.output)
    assert.equal(98 + 49, total)
    for n = 1, 100 do assert.equal(n ~= 27 and n ~= 77 and (n <= 50 and 2 or 1) or nil, out[tostring(n)]) end
    local dead = kafka.consume(letters)
    assert.equal(3, #dead)
    local bad = dead[1].value:match("%d+$")
    assert.equal(("x"):rep(4000) .. bad, dead[1].value)
    assert.equal("produce", inputs.header(dead[1], "stage"))
    assert.is_true(run:report().metrics["producer.transaction.aborted"] >= 3)
  end)

  it("exactly_once waits for a dlq topic that takes nothing, and goes on when it does", function()
    local letters = kafka.topic(1)
    fill(100)
    local run = engine.start(definition { dlq = { topic = letters }, task = [[function(message)
      if message.value == "50" then error("fifty") end
      return message
    end]], produce = { topic = t.output, rdkafka = { ["topic.metadata.propagation.max.ms"] = 1000 } } })
    run:wait_for("partitions assigned")
    wait_committed()
    kafka.delete_topic(letters)
    fill(100)
    run:wait_for("the transaction was aborted")
    kafka.topic(1, nil, letters)
    wait_committed()
    run:drain()
    local _, total = seen(t.output)
    assert.equal(198, total)
    assert.equal(1, #kafka.consume(letters))
  end)

  it("exactly_once holds a message that is read again and again against the dlq's limits once", function()
    local letters = kafka.topic(1, { ["max.message.bytes"] = 1000 })
    kafka.produce(t.input, { { value = ("x"):rep(2000) } })
    local run = engine.start(definition { task = 'function() return tide.reject "long" end',
      dlq = { topic = letters, on_too_large = "fail", max_consecutive_count = 1, max_invalid_ratio = 0.01 } })
    wait.until_true(function()
      return select(2, run:stderr():gsub("the transaction was aborted", "")) >= 3 or not run.process:running()
    end, "three aborts")
    run:drain()
    assert.same({}, kafka.committed(t.group, t.input))
  end)

  it("exactly_once brings dead letters to a topic that takes none of their batches", function()
    local letters = kafka.topic(1, { ["max.message.bytes"] = 4000 })
    fill(100)
    kafka.produce(t.input, { { value = ("y"):rep(5000) } })
    local run = engine.run(definition { dlq = { topic = letters },
      produce = { topic = t.output, rdkafka = { ["compression.type"] = "none" } },
      task = 'function(message) if #message.value > 1 then return tide.reject("long") end; return message end' })
    local dead = kafka.consume(letters)
    assert.equal(92, #dead)
    local sizes = {} -- those of one partition may come before those of the other
    for _, letter in ipairs(dead) do sizes[#sizes + 1] = inputs.header(letter, "original_size") end
    assert.same({ "5000" }, sizes)
    assert.is_true(run:says("dead letters are sent alone from now on"), run:stderr())
    assert_once(9)
  end)

  it("exactly_once shortens a dead letter that is too large for its topic", function()
    local letters = kafka.topic(1, { ["max.message.bytes"] = 100000 })
    kafka.produce(t.input, { { value = ("y"):rep(300000) } })
    fill(10)
    engine.run(definition { dlq = { topic = letters }, produce = { topic = t.output },
      task = 'function(message) if #message.value > 1000 then return tide.reject("long") end; return message end' })
    local dead = kafka.consume(letters)
    assert.equal(1, #dead)
    assert.equal("300000", inputs.header(dead[1], "original_size"))
    assert_once(10)
  end)
end)
