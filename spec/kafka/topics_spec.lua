-- SPDX-License-Identifier: MIT
-- Topics that change while they are read: partitions come, a topic goes, and comes again, its log is cut.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local wait = require "spec.support.wait"

kafka.describe("while it runs", function(t)
  local function start(more, options)
    return engine.start(t:definition({ source = { discovery_interval = "300ms" },
      commit = { policy = { min_time = "100ms" } } }, more), options)
  end

  -- For a run that stands still while the tool works: longer than that takes, so that it stays a member of its group.
  local PATIENT = { ["session.timeout.ms"] = 60000 }

  local function fill(partition, first, last)
    local messages = {}
    for i = first, last do messages[#messages + 1] = { value = tostring(i), partition = partition } end
    kafka.produce(t.input, messages)
  end

  for _, begin in ipairs { "earliest", "latest" } do
    it("partitions are added: all of them is read, with start = " .. begin .. " too", function()
      local run = start { source = { start = begin } }
      wait.until_true(function() return run:says("partitions assigned") end, "the first partition")
      fill(0, 1, 10)
      inputs.wait_committed(t.group, t.input)
      run:signal("STOP") -- so that they hold something by the time they are found
      kafka.add_partitions(t.input, 3)
      wait.until_true(function() return pcall(fill, 2, 11, 20) end, "the new partitions")
      run:signal("CONT")
      inputs.wait_committed(t.group, t.input)
      run:drain()
      inputs.once(t.output, 20)
    end)
  end

  it("a topic is found that has more partitions than partition = \"same\" can write", function()
    local run = start { source = { pattern = "^" .. t.input .. ".*" },
      produce = { topic = t.output, partition = "same" } }
    fill(0, 1, 10)
    inputs.wait_committed(t.group, t.input)
    local later = kafka.topic(3, nil, t.input .. "-later")
    kafka.produce(later, { { value = "11", partition = 0 } })
    run:ends_with(78)
    assert.is_true(run:says(later) and run:says('"' .. t.output .. '" had only 1 partition'), run:stderr())
    inputs.once(t.output, 10)
  end)

  it("the topic is deleted, which it says, and made again: it is read from its start", function()
    fill(0, 1, 10)
    local run = start()
    inputs.wait_committed(t.group, t.input)
    kafka.delete_topic(t.input)
    run:wait_for("Subscribed topic not available: " .. t.input)
    run:wait_for("partitions revoked")
    wait.until_true(function() return pcall(kafka.topic, 1, nil, t.input) end, "the topic again")
    fill(0, 11, 15)
    inputs.wait_committed(t.group, t.input)
    run:drain()
    inputs.once(t.output, 15)
  end)

  for _, count in ipairs { 5, 10, 15 } do -- fewer than were read of the old one, as many, and more
    it("the topic is deleted and made again between two looks: it stops, a new start reads all " .. count, function()
      fill(0, 1, 10)
      local run = start { source = { discovery_interval = "5min", auto_offset_reset = "earliest",
        rdkafka = PATIENT } }
      inputs.wait_committed(t.group, t.input)
      run:wait_for "lag 0 " -- librdkafka has told the end, and does not tell the same one again
      kafka.delete_topic(t.input)
      run:wait_for "topic does not exist"
      run:signal("STOP") -- so that it holds all of them by the time it is found
      wait.until_true(function() return pcall(kafka.topic, 1, nil, t.input) end, "the topic again")
      fill(0, 11, 10 + count)
      run:signal("CONT")
      run:ends_with(75)
      assert.is_true(run:says(('topic "%s" partition 0 was read up to offset 10; it was missing for a while')
        :format(t.input)), run:stderr())
      run = start()
      inputs.wait_committed(t.group, t.input)
      run:drain()
      inputs.once(t.output, 10 + count)
    end)
  end

  for _, literal in ipairs { true, false } do
    it("the topic is deleted and made again, with start = latest: it is read from its beginning, by "
      .. (literal and "its name" or "a pattern"), function()
      fill(0, 11, 20)
      local run = start { source = { start = "latest", pattern = not literal and "^" .. t.input .. "$" or nil } }
      run:wait_for "/0 at 10 of [0, 10]"
      inputs.wait_committed(t.group, t.input)
      kafka.delete_topic(t.input)
      run:wait_for "partitions revoked"
      run:signal("STOP") -- so that they hold something by the time they are found
      wait.until_true(function() return pcall(kafka.topic, 1, nil, t.input) end, "the topic again")
      fill(0, 1, 3)
      run:signal("CONT")
      inputs.wait_committed(t.group, t.input)
      run:drain()
      inputs.once(t.output, 3)
    end)
  end

  it("a topic of which nothing was read is deleted and made again between two looks: all of it is read", function()
    fill(0, 11, 12)
    local run = start { source = { start = "latest", discovery_interval = "5min" } }
    inputs.wait_committed(t.group, t.input)
    kafka.delete_topic(t.input)
    run:wait_for "topic does not exist"
    wait.until_true(function() return pcall(kafka.topic, 1, nil, t.input) end, "the topic again")
    fill(0, 1, 5)
    inputs.wait_committed(t.group, t.input)
    run:drain()
    inputs.once(t.output, 5)
  end)

  for reset, ending in pairs { error = { 78, "is at offset 10, which is out of range [0, 5]" },
    earliest = { 75, "its log was cut at offset 5, below 10, which was read already; start again" } } do
    it("the topic is replaced unseen: it stops, with auto_offset_reset = " .. reset, function()
      fill(0, 1, 10)
      local run = start { source = { auto_offset_reset = reset, discovery_interval = "5min", rdkafka = PATIENT } }
      inputs.wait_committed(t.group, t.input)
      run:signal("STOP")
      kafka.delete_topic(t.input)
      wait.until_true(function() return pcall(kafka.topic, 1, nil, t.input) end, "the topic again")
      fill(0, 11, 15)
      run:signal("CONT")
      run:ends_with(ending[1])
      assert.is_true(run:says(ending[2]), run:stderr())
      inputs.once(t.output, 10)
    end)
  end

  it("the output is deleted: it stops for now, and no message is held to be bad", function()
    local letters = kafka.topic(1)
    local run = start { dlq = { topic = letters } }
    fill(0, 1, 10)
    inputs.wait_committed(t.group, t.input)
    kafka.delete_topic(t.output)
    fill(0, 11, 20)
    run:ends_with(75, 60)
    assert.is_true(run:says(('produce: topic "%s": it is not there any more'):format(t.output)), run:stderr())
    assert.same({}, kafka.consume(letters))
    assert.same({ [0] = 10 }, kafka.committed(t.group, t.input))
    kafka.topic(1, nil, t.output)
    run = start { dlq = { topic = letters } }
    inputs.wait_committed(t.group, t.input)
    run:drain()
    assert.equal(10, inputs.count(t.output))
  end)

  it("the output is deleted in exactly_once: it waits, and no message is held to be bad", function()
    local letters = kafka.topic(1)
    local run = start { dlq = { topic = letters }, settings = { delivery = "exactly_once" },
      produce = { topic = t.output, rdkafka = { ["topic.metadata.refresh.interval.ms"] = 300 } } }
    fill(0, 1, 10)
    inputs.wait_committed(t.group, t.input)
    kafka.delete_topic(t.output)
    local last = 10 -- with messages all the while: that it is gone is met in each of the ways there are
    wait.until_true(function()
      fill(0, last + 1, last + 1)
      last = last + 1
      return run:says(('the transaction was aborted: topic "%s": it is not there any more'):format(t.output))
    end, "an abort that names the topic")
    local deleted = kafka.committed(t.group, t.input)[0] -- what came before went with the topic
    wait.until_true(function() return pcall(kafka.topic, 1, nil, t.output) end, "the topic again")
    inputs.wait_committed(t.group, t.input)
    run:drain()
    assert.same({}, kafka.consume(letters))
    local seen = inputs.seen(t.output)
    for i = deleted + 1, last do assert.equal(1, seen[i], i) end
  end)

  -- It reads little ahead: what is cut off was not fetched.
  for _, reset in ipairs { "error", "earliest" } do
    it("what comes next is cut off, with auto_offset_reset = " .. reset, function()
      local width, gate = (" "):rep(1000), os.tmpname()
      os.remove(gate)
      local messages = {}
      for i = 1, 2000 do messages[i] = { value = i .. width } end
      kafka.produce(t.input, messages)
      local run = start { source = { auto_offset_reset = reset, rdkafka = { ["queued.min.messages"] = 1,
        ["queued.max.messages.kbytes"] = 1, ["fetch.message.max.bytes"] = 1000, ["fetch.max.bytes"] = 1000,
        ["message.max.bytes"] = 1000 } },
        task = ("function(message) while not io.open(%q) do end return message end"):format(gate),
        task_options = { processes = 1, max_batch_size = 1 }, settings = { files = { read = "/tmp" } } }
      wait.until_true(function() return run:total("read") > 0 end, "a first message")
      kafka.delete_records(t.input, { [0] = 2000 })
      io.open(gate, "w"):close()
      if reset == "error" then
        run:ends_with(78)
        assert.is_true(run:says("which is out of range [2000, 2000]"), run:stderr())
      else
        run:wait_for("out of range [2000, 2000]; going on at 2000")
        fill(0, 2001, 2005)
        inputs.wait_committed(t.group, t.input)
        run:drain()
        local seen = inputs.seen(t.output)
        for i = 2001, 2005 do assert.equal(1, seen[i]) end
        assert.equal(run:report().read, inputs.count(t.output))
      end
      os.remove(gate)
    end)
  end
end)
