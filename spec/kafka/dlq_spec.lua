-- SPDX-License-Identifier: MIT
-- Bad messages: dead letters in a topic, limits, and the stop without them.
local engine = require "spec.support.engine"
local hash = require "tidemill.lib.hash"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local IDENTITY = "function(message) return message end"

kafka.describe("bad messages", function(t)
  local function definition(more)
    return t:definition({ dlq = { topic = t.letters }, commit = { policy = { min_time = "50ms" } },
      task = "function(message) if message.value:find('bad') then error('no good') end return message end" }, more)
  end

  local function headers_of(message)
    local found = {}
    for _, header in ipairs(message.headers) do found[header[1]] = header[2] end
    return found
  end

  after_each(function() process.resume(kafka.broker_pid()) end)

  it("bad messages go to the dlq's topic with their key, value and headers, and why they are there", function()
    t.input = kafka.topic(3)
    local own = { { "h", "1" }, { "h", "" }, { "n" } }
    kafka.produce(t.input, { { value = "good", partition = 2 },
      { key = "k", value = "bad\0one", headers = own, partition = 2, timestamp = 1234567890123 } })
    local run = engine.run(definition())
    local letter = kafka.consume(t.letters)[1]
    assert.same({ "k", "bad\0one" }, { letter.key, letter.value })
    assert.same(own, { letter.headers[1], letter.headers[2], letter.headers[3] })
    local headers = headers_of(letter)
    assert.same({ t.input, "2", "1", "1234567890123", "1" }, { headers.original_topic, headers.original_partition,
      headers.original_offset, headers.original_timestamp, headers.attempts })
    assert.is_truthy(headers.error:find("no good", 1, true))
    assert.is_truthy(headers.traceback:find("p.lua:", 1, true))
    assert.is_true(#headers.stage > 0 and #headers.reason > 0)
    local report = run:report()
    assert.same({ 2, 1, 0, 1 }, { report.read, report.produced_from, report.filtered, report.dead_lettered })
  end)

  it("bad messages are null or empty there as they were", function()
    local sent = { { value = "" }, { key = "" }, { key = "", value = "" }, {} }
    kafka.produce(t.input, sent)
    engine.run(definition { task = "function() return tide.reject('all') end" })
    local seen = kafka.consume(t.letters)
    for i, message in ipairs(sent) do assert.same({ message.key, message.value }, { seen[i].key, seen[i].value }) end
    assert.equal("all", headers_of(seen[1]).error)
  end)

  it("bad messages hold the offset back as long as their dead letter is not acknowledged", function()
    local folder = pipeline_file.folder()
    local gate = folder .. "/open"
    kafka.produce(t.input, { { value = "good" }, { value = "bad" }, { value = "good" } })
    local run = engine.start(definition { commit = { policy = "immediate" }, task_options = { max_batch_size = 1 },
      settings = { files = { read = folder } }, task = ([[function(message)
        if message.value ~= "bad" then return message end
        while not io.open(%q) do end
        error("no good")
      end]]):format(gate) })
    wait.until_true(function() return kafka.committed(t.group, t.input)[0] == 1 end, "the first commit")
    process.pause(kafka.broker_pid())
    assert(io.open(gate, "w")):close()
    run:wait_for("in flight 2, batches 0 of")
    run:signal("KILL")
    run.process:wait()
    process.resume(kafka.broker_pid())
    assert.same({ [0] = 1 }, kafka.committed(t.group, t.input))
    t.group = t.group .. "-again"
    engine.run(definition())
    assert.same({ [0] = 3 }, kafka.committed(t.group, t.input))
  end)

  it("bad messages stop the pipeline at the dlq's max_consecutive_count", function()
    local messages = {}
    for i = 1, 100 do messages[i] = { value = i > 20 and "bad" .. i or "good" } end
    kafka.produce(t.input, messages)
    local run = engine.run(definition { dlq = { topic = t.letters, max_consecutive_count = 5 } }, { code = 65 })
    assert.is_true(run:says("max_consecutive_count") and run:says(t.input .. "/0/25"), run:stderr())
    assert.equal(5, #kafka.consume(t.letters))
    assert.equal(20, #kafka.consume(t.output))
    assert.same({ [0] = 25 }, kafka.committed(t.group, t.input))
  end)

  it("bad messages stop the pipeline at the dlq's max_invalid_ratio", function()
    local messages = {}
    for i = 1, 100 do messages[i] = { value = i > 50 and i % 2 == 0 and "bad" or "good" } end
    kafka.produce(t.input, messages)
    local run = engine.run(definition { dlq = { topic = t.letters, max_invalid_ratio = 0.1 } }, { code = 65 })
    assert.is_true(run:says("max_invalid_ratio"), run:stderr())
    local dead = #kafka.consume(t.letters)
    assert.is_true(dead >= 5 and dead <= 7, dead .. " dead letters")
    assert.same({ [0] = 50 + 2 * dead + 1 }, kafka.committed(t.group, t.input))
  end)

  it("bad messages stop the pipeline when there is no dlq: exit 65, nothing at or after it is committed", function()
    t.input = kafka.topic(4)
    local messages = {}
    for i = 1, 4000 do
      messages[i] = { partition = i % 4, value = i == 2003 and "bad" or "good" } -- partition 3, offset 500
    end
    kafka.produce(t.input, messages)
    local run = engine.run(definition { dlq = false, task_options = { processes = 2, max_batch_size = 100 } },
      { code = 65 })
    assert.is_true(run:says(t.input .. "/3/500") and run:says("no good") and run:says("p.lua:"), run:stderr())
    assert.is_true((kafka.committed(t.group, t.input)[3] or 0) <= 500)
    engine.run(definition { dlq = false }, { code = 65 })
    assert.same({ [3] = 500 }, { [3] = kafka.committed(t.group, t.input)[3] })
    engine.run(definition())
    assert.same(kafka.ends(t.input), kafka.committed(t.group, t.input))
    assert.equal(1, #kafka.consume(t.letters))
  end)

  it("bad messages that the broker refuses are dead letters of stage produce, and the rest goes on", function()
    t.output = kafka.topic(1, { ["max.message.bytes"] = 2000 })
    local one_by_one = { topic = t.output, rdkafka = { ["batch.num.messages"] = 1 } }
    local messages = {}
    for i = 1, 300 do
      local value = i % 100 == 50 and ("x"):rep(5000) or "v" .. i
      messages[i] = { key = "k" .. i, value = value, headers = { { "h", "1" } } }
    end
    kafka.produce(t.input, messages)
    local report = engine.run(definition { task = IDENTITY, produce = one_by_one }):report()
    assert.same({ 300, 297, 297, 0, 3 }, { report.read, report.produced, report.produced_from, report.filtered,
      report.dead_lettered })
    local dead = kafka.consume(t.letters)
    assert.equal(3, #dead)
    for i, letter in ipairs(dead) do
      local headers = headers_of(letter)
      assert.same({ "k" .. (100 * i - 50), 5000, "1", "produce", t.input, "0", tostring(100 * i - 51) },
        { letter.key, #letter.value, headers.h, headers.stage, headers.original_topic, headers.original_partition,
          headers.original_offset })
      assert.is_truthy(headers.error:find("too large", 1, true), headers.error)
    end
    assert.equal(297, #kafka.consume(t.output))
    assert.same({ [0] = 300 }, kafka.committed(t.group, t.input))
  end)

  it("bad messages whose dead letter is too large for the dlq's topic go there cut and marked", function()
    t.letters = kafka.topic(1, { ["max.message.bytes"] = 2000 })
    local value = "bad" .. ("x"):rep(5000)
    kafka.produce(t.input, { { value = "good" }, { value = value, key = "k", headers = { { "h", "1" } } },
      { value = "good" } })
    local run = engine.run(definition())
    local letter = kafka.consume(t.letters)[1]
    local headers = headers_of(letter)
    assert.same({ "k", value:sub(1, 1024), "1", "1", "true", "5003", hash.sha256(value) }, { letter.key, letter.value,
      headers.h, headers.original_offset, headers.truncated, headers.original_size, headers.sha256 })
    assert.is_true(run:says(t.input .. "/0/1: its dead letter is too large"), run:stderr())
    assert.same({ [0] = 3 }, kafka.committed(t.group, t.input))
    assert.same({ 1, 1 }, { run:report().dead_lettered, run:report().metrics["dlq.truncated"] })
  end)

  it("bad messages whose dead letter is too large are cut alone: none beside them in a batch is", function()
    t.letters = kafka.topic(1, { ["max.message.bytes"] = 2000 })
    local messages = {}
    for i = 1, 600 do messages[i] = { value = ("bad%04d"):format(i) .. ("x"):rep(i % 30 == 7 and 5000 or 1200) } end
    kafka.produce(t.input, messages)
    engine.run(definition { task_options = { max_batch_size = 20 } })
    local whole, cut = {}, {}
    for _, letter in ipairs(kafka.consume(t.letters)) do
      local seen = headers_of(letter).truncated and cut or whole
      seen[letter.value:sub(1, 7)] = #letter.value
    end
    for i, message in ipairs(messages) do
      local name = message.value:sub(1, 7)
      assert.same(i % 30 == 7 and { [2] = 1024 } or { 1207 }, { whole[name], cut[name] }, name)
    end
    assert.same({ [0] = 600 }, kafka.committed(t.group, t.input))
  end)

  it("bad messages whose dead letter is too large and is to stay whole stop the pipeline", function()
    t.letters = kafka.topic(1, { ["max.message.bytes"] = 2000 })
    kafka.produce(t.input, { { value = "good" }, { value = "bad" .. ("x"):rep(5000) }, { value = "good" } })
    local run = engine.run(definition { dlq = { topic = t.letters, on_too_large = "fail", on_failure = "stop" } },
      { code = 65 })
    assert.is_true(run:says(t.input .. '/0/1: the dlq "' .. t.letters .. '" did not take its dead letter: '),
      run:stderr())
    assert.same({ [0] = 1 }, kafka.committed(t.group, t.input))
  end)

  it("bad messages wait while the dlq's topic is gone, and get there once it is back; other partitions"
    .. " go on", function()
    t.input = kafka.topic(2)
    kafka.produce(t.input, { { value = "bad first", partition = 0 } })
    local run = engine.start(definition())
    wait.until_true(function() return #kafka.consume(t.letters) == 1 end, "the first dead letter")
    kafka.delete_topic(t.letters)
    local messages = {}
    for i = 1, 600 do
      local bad = i <= 20 and i % 2 == 0
      messages[i] = { value = (bad and "bad" or "good") .. i, partition = bad and 0 or 1 }
    end
    kafka.produce(t.input, messages)
    run:wait_for("did not take its dead letter")
    assert.is_true(run:says("the topic is not there") or run:says("nknown topic"), run:stderr())
    wait.until_true(function() return (kafka.committed(t.group, t.input)[1] or 0) == 590 end, "the other partition")
    assert.same(1, kafka.committed(t.group, t.input)[0])
    kafka.topic(1, {}, t.letters)
    local seen = kafka.consume(t.letters, { n = 10, timeout = 60 })
    table.sort(seen, function(a, b) return tonumber(headers_of(a).original_offset) <
      tonumber(headers_of(b).original_offset) end)
    local values = {}
    for i, letter in ipairs(seen) do values[i] = letter.value end
    assert.same({ "bad2", "bad4", "bad6", "bad8", "bad10", "bad12", "bad14", "bad16", "bad18", "bad20" }, values)
    run:wait_for("takes dead letters again")
    run:drain()
    assert.same({ [0] = 11, [1] = 590 }, kafka.committed(t.group, t.input))
    local report = run:report()
    assert.same({ 601, 590, 11 }, { report.read, report.produced_from, report.dead_lettered })
    assert.is_true(report.metrics["dlq.failed"] >= 1)
    assert.is_true(report.metrics["consumer.dlq_buffer.len"].max >= 1)
  end)

  it("bad messages wait in exactly_once too while the dlq's topic is gone; then each is there once", function()
    kafka.produce(t.input, { { value = "bad first" } })
    local run = engine.start(definition { settings = { delivery = "exactly_once" } })
    wait.until_true(function() return #kafka.consume(t.letters) == 1 end, "the first dead letter")
    kafka.delete_topic(t.letters)
    local messages = {}
    for i = 1, 600 do messages[i] = { value = (i % 60 == 0 and "bad" or "good") .. i } end
    kafka.produce(t.input, messages)
    wait.until_true(function() return run:total("read") >= 601 end, "all to be read")
    kafka.topic(1, {}, t.letters)
    wait.until_true(function() return (kafka.committed(t.group, t.input)[0] or 0) == 601 end, "the last commit")
    run:drain()
    local found = {}
    for _, topic in ipairs { t.letters, t.output } do
      for _, message in ipairs(kafka.consume(topic)) do found[message.value] = (found[message.value] or 0) + 1 end
    end
    for _, message in ipairs(messages) do assert.equal(1, found[message.value], message.value) end
  end)

  it("bad messages stop with 75 when the dlq's topic is gone, if told so", function()
    local stopping = { dlq = { topic = t.letters, on_failure = "stop" } }
    kafka.produce(t.input, { { value = "bad first" } })
    local run = engine.start(definition(stopping))
    wait.until_true(function() return #kafka.consume(t.letters) == 1 end, "the first dead letter")
    kafka.delete_topic(t.letters)
    kafka.produce(t.input, { { value = "bad second" } })
    run:ends_with(75, 90)
    assert.is_true(run:says(t.input .. '/0/1: the dlq "' .. t.letters .. '" did not take'), run:stderr())
    assert.same({ [0] = 1 }, kafka.committed(t.group, t.input))
  end)

  for _, delivery in ipairs { "at_least_once", "exactly_once" } do
    it("bad messages that stand for several and are refused have the first one's place, and their"
      .. " number, " .. delivery, function()
      t.output = kafka.topic(1, { ["max.message.bytes"] = 2000 })
      local messages = {}
      for i = 1, 8 do messages[i] = { value = ("x"):rep(1000) } end
      kafka.produce(t.input, messages)
      local run = engine.start(definition { settings = { delivery = delivery }, steps = ([[
        tide.reduce { function(all, message) return all .. message.value end, initial_value = "", max_batch_size = 4,
          max_batch_time = "10s" },
        tide.produce { topic = %q }]]):format(t.output) })
      inputs.wait_committed(t.group, t.input)
      run:drain()
      local dead = kafka.consume(t.letters)
      assert.equal(2, #dead)
      for i, letter in ipairs(dead) do
        local headers = headers_of(letter)
        assert.same({ 4000, t.input, "0", tostring(4 * (i - 1)), "4", "produce" }, { #letter.value,
          headers.original_topic, headers.original_partition, headers.original_offset, headers.original_count,
          headers.stage })
      end
      local report = run:report()
      assert.same({ 8, 0 }, { report.dead_lettered, report.produced_from })
    end)
  end

  for _, delivery in ipairs { "at_least_once", "exactly_once" } do
    it("bad messages that stand for several and fit nowhere stop the pipeline, whole and uncommitted,"
      .. " " .. delivery, function()
      t.output = kafka.topic(1, { ["max.message.bytes"] = 20000 })
      t.letters = kafka.topic(1, { ["max.message.bytes"] = 80000 })
      local messages = {}
      for i = 1, 100 do messages[i] = { value = ("x"):rep(1000) } end
      kafka.produce(t.input, messages)
      local function bulks(size)
        return definition { settings = { delivery = delivery }, steps = ([[
          tide.reduce { function(all, message) return all .. message.value end, initial_value = "",
            max_batch_size = %d, max_batch_time = "10s" },
          tide.produce { topic = %q, rdkafka = { ["compression.type"] = "none" } }]]):format(size, t.output) }
      end
      local run = engine.run(bulks(100), { code = 65 })
      assert.is_true(run:says(t.input .. "/0/0: the dead letter of what was made of 100 messages from there on")
        and run:says("max_batch_size"), run:stderr())
      assert.same({ 0, 0 }, { #kafka.consume(t.letters), #kafka.consume(t.output) })
      assert.equal(0, kafka.committed(t.group, t.input)[0] or 0)
      engine.run(bulks(50)) -- whole in the dlq's topic
      for _, letter in ipairs(kafka.consume(t.letters)) do assert.equal(("x"):rep(50000), letter.value) end
      assert.same({ 2, 0 }, { #kafka.consume(t.letters), #kafka.consume(t.output) })
      assert.equal(100, kafka.committed(t.group, t.input)[0])
    end)
  end

  it("bad messages that the broker refuses stop the pipeline without a dlq", function()
    t.output = kafka.topic(1, { ["max.message.bytes"] = 2000 })
    local one_by_one = { topic = t.output, rdkafka = { ["batch.num.messages"] = 1 } }
    kafka.produce(t.input, { { value = "small" }, { value = ("x"):rep(5000) }, { value = "small" } })
    local run = engine.run(definition { dlq = false, task = IDENTITY, produce = one_by_one }, { code = 65 })
    assert.is_true(run:says(t.input .. "/0/1"), run:stderr())
    assert.is_true((kafka.committed(t.group, t.input)[0] or 0) <= 1)
  end)

  it("bad messages that the broker refuses within a batch take no good one with them", function()
    t.output = kafka.topic(1, { ["max.message.bytes"] = 2000 })
    local messages = {}
    for i = 1, 300 do messages[i] = { key = "k" .. i, value = i % 100 == 50 and ("x"):rep(5000) or "v" .. i } end
    kafka.produce(t.input, messages)
    local report = engine.run(definition { task = IDENTITY }):report() -- batches as they come
    assert.same({ 300, 297, 297, 0, 3 }, { report.read, report.produced, report.produced_from, report.filtered,
      report.dead_lettered })
    assert.equal(297, #kafka.consume(t.output))
    assert.equal(3, #kafka.consume(t.letters))
    assert.same({ [0] = 300 }, kafka.committed(t.group, t.input))
  end)
end)
