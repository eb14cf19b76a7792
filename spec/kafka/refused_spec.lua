-- SPDX-License-Identifier: MIT
-- Records that the output refuses, alone or with their batch: what others of the batch, and the dead letters, are then.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"

local OLD = 1600000000000 -- ms: before the retention of any topic here

local LASTING = { ["retention.ms"] = -1 }

kafka.describe("a record that the output refuses", { input = { 1, LASTING }, output = { 1, LASTING } }, function(t)
  local function definition(more)
    return t:definition({ dlq = { topic = t.letters }, commit = { policy = { min_time = "50ms" } } }, more)
  end

  -- Messages 1 to count, each with a time of its own.
  local function numbers(count, change)
    local messages = {}
    for i = 1, count do
      messages[i] = { key = "k" .. i, value = "v" .. i, headers = { { "h", tostring(i) }, { "null" }, { "empty", "" } },
        timestamp = OLD + i }
      if change then change(messages[i], i) end
    end
    return messages
  end

  local function by_value(messages)
    local found = {}
    for _, message in ipairs(messages) do
      message.offset, found[message.value] = nil, message
    end
    return found
  end

  -- Each of the messages is in the output as it was, except those of `without` (by number).
  local function assert_kept(sent, without)
    local all, count = kafka.consume(t.output), 0
    local found = by_value(all)
    for i, message in ipairs(sent) do
      message.partition = 0
      assert.same(not without[i] and message or nil, found[message.value])
      count = count + (without[i] and 0 or 1)
    end
    assert.equal(count, #all)
  end


  it("a record that the output refuses takes nothing from the others of its batch: they keep time, key"
    .. " and headers", function()
    t.output = kafka.topic(1, { ["cleanup.policy"] = "compact", ["retention.ms"] = -1 })
    local sent = numbers(10, function(message, i) if i == 6 then message.key = nil end end)
    kafka.produce(t.input, sent)
    local from = os.time() * 1000
    engine.run(definition())
    assert_kept(sent, { [6] = true })
    local dead = kafka.consume(t.letters)
    assert.equal(1, #dead)
    assert.same({ "v6", ("%.0f"):format(OLD + 6), "produce", "5" }, { dead[1].value,
      inputs.header(dead[1], "original_timestamp"), inputs.header(dead[1], "stage"),
      inputs.header(dead[1], "original_offset") })
    assert.is_true(dead[1].timestamp >= from, "the letter's own time is that of its writing")
  end)

  for _, delivery in ipairs { "at_least_once", "exactly_once" } do
    it("a record that the output refuses is not one that its batch made too large: batches are as large"
      .. " as the topic takes, " .. delivery, function()
      t.output = kafka.topic(1, { ["max.message.bytes"] = 10000, ["retention.ms"] = -1 })
      local sent = numbers(300, function(message, i) message.value = ("x"):rep(3000) .. i end)
      kafka.produce(t.input, sent)
      local run = engine.run(definition { settings = { delivery = delivery } })
      assert.is_true(run:says("batches have 10000 bytes at the most"), run:stderr())
      assert.is_false(run:says("the broker refused a batch"), run:stderr())
      assert_kept(sent, {})
      local metrics = run:report().metrics
      assert.same({ 0, 0, 0 }, { metrics["producer.produce_status{status=error}"], metrics["producer.replaced"],
        metrics["producer.transaction.aborted"] })
    end)
  end

  for _, delivery in ipairs { "at_least_once", "exactly_once" } do
    it("a record that the output refuses for its time is a dead letter with that time, and the rest"
      .. " goes on, " .. delivery, function()
      local limits = { ["retention.ms"] = -1, ["message.timestamp.after.max.ms"] = 3600000 }
      t.output, t.letters = kafka.topic(1, limits), kafka.topic(1, limits)
      local sent = numbers(10, function(message, i) if i == 4 then message.timestamp = message.timestamp * 1000 end end)
      kafka.produce(t.input, sent)
      local run = engine.start(definition { settings = { delivery = delivery } })
      inputs.wait_committed(t.group, t.input)
      run:drain()
      assert_kept(sent, { [4] = true })
      local dead = kafka.consume(t.letters)
      assert.equal(1, #dead)
      assert.same({ "v4", ("%.0f"):format(sent[4].timestamp), "produce", "3" }, { dead[1].value,
        inputs.header(dead[1], "original_timestamp"), inputs.header(dead[1], "stage"),
        inputs.header(dead[1], "original_offset") })
      assert.is_truthy(inputs.header(dead[1], "error"):lower():find "timestamp", inputs.header(dead[1], "error"))
    end)
  end

  for _, delivery in ipairs { "at_least_once", "exactly_once" } do
    it("a record that the output refuses is told with the partition that it was for, " .. delivery, function()
      local limits = { ["retention.ms"] = -1, ["message.timestamp.after.max.ms"] = 3600000 }
      t.input, t.output = kafka.topic(4, limits), kafka.topic(4, limits)
      local future = (os.time() + 1e6) * 1000
      kafka.produce(t.input, { { key = "a", value = "ahead", partition = 3, timestamp = OLD },
        { key = "a", value = "zero", partition = 2, timestamp = OLD } })
      local run = engine.start(definition { settings = { delivery = delivery }, task = ([[function(message)
        message.timestamp = message.value == "zero" and 0 or %.0f
        return message
      end]]):format(future), produce = { topic = t.output, partition = "same" } })
      inputs.wait_committed(t.group, t.input)
      run:drain()
      local found = {}
      for _, letter in ipairs(kafka.consume(t.letters)) do
        found[letter.value] = { inputs.header(letter, "target_topic"), inputs.header(letter, "target_partition"),
          inputs.header(letter, "original_partition") }
      end
      assert.same({ ahead = { t.output, "3", "3" }, zero = { t.output, "2", "2" } }, found)
    end)
  end

  it("a record that the output refuses is not made to fit: a header's name with a zero byte stays"
    .. " whole, from engine to engine", function()
    local between, name, first = kafka.topic(1), "a\0b", t.group
    kafka.produce(t.input, { { value = "1" } })
    engine.run(definition { produce = { topic = between },
      task = [[function(message) message.headers = { { "a\0b", "c\0d" }, { "a", "" } } return message end]] })
    t.input, t.group = between, first .. "-second"
    engine.run(definition { task = [[function(message)
      local headers = message.headers
      message.value = headers[1][1] .. "|" .. headers[1][2] .. "|" .. headers[2][1]
      return message
    end]] })
    assert.equal(name .. "|c\0d|a", kafka.consume(t.output)[1].value)
  end)

  it("a record that the output refuses by librdkafka, which takes a time of 0 for none: it is not sent"
    .. " with the present one", function()
    kafka.produce(t.input, { { value = "1", timestamp = 1 }, { value = "2", timestamp = 1 } })
    engine.run(definition { task = [[function(message)
      if message.value == "1" then message.timestamp = 0 end
      return message
    end]] })
    assert.equal("2", kafka.consume(t.output)[1].value)
    local letter = kafka.consume(t.letters)[1]
    assert.same({ "1", "0", "produce" }, { letter.value, inputs.header(letter, "original_timestamp"),
      inputs.header(letter, "stage") })
  end)
end)
