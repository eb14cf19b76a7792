-- SPDX-License-Identifier: MIT
-- Where a partition begins, where a run ends, and which topics it reads.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local wait = require "spec.support.wait"

kafka.describe("a start", function(t)
  local function definition(source)
    return t:definition({ source = { start = false } }, { source = source })
  end

  local function values(topic)
    local list = {}
    for i, message in ipairs(kafka.consume(topic or t.output)) do list[i] = message.value end
    return table.concat(list, " ")
  end

  -- Values "1" .. count with timestamps 1000, 2000 ...
  local function fill(count)
    local messages = {}
    for i = 1, count do messages[i] = { value = tostring(i), timestamp = i * 1000 } end
    kafka.produce(t.input, messages)
  end

  for start, seen in pairs { earliest = "1 2 3 4 5", [3] = "4 5", ["1970-01-01T00:00:02.500Z"] = "3 4 5",
    ["1970-01-01T00:00:03Z"] = "3 4 5" } do
    it("a start begins where start says: " .. start, function()
      fill(5)
      engine.run(definition { start = start })
      assert.equal(seen, values())
      assert.same({ [0] = 5 }, kafka.committed(t.group, t.input))
    end)
  end

  it("a start with start = latest, or a moment to come, sees what comes after it", function()
    fill(3)
    for _, start in ipairs { "latest", "2970-01-01T00:00:00Z" } do
      t.group, t.output = kafka.group(), kafka.topic(1)
      local run = engine.start(definition { start = start })
      run:wait_for("partitions assigned")
      -- The beginning is fixed before anything is read, so it is committed before anything is through.
      wait.until_true(function() return kafka.committed(t.group, t.input)[0] end, "a committed beginning")
      kafka.produce(t.input, { { value = "new" } })
      kafka.consume(t.output, { n = 1 })
      run:drain()
      assert.equal("new", values())
    end
  end)

  it("a start takes the committed offset before any start", function()
    fill(5)
    kafka.commit(t.group, t.input, { [0] = 4 })
    engine.run(definition { start = "earliest" })
    assert.equal("5", values())
  end)

  it("a start without start and without committed offset is exit 78, says what to do, and reads nothing", function()
    fill(5)
    local run = engine.run(definition(), { code = 78 })
    for _, word in ipairs { t.input, "partition 0", t.group, "has no committed offset", 'start = "earliest"' } do
      assert.is_true(run:says(word), run:stderr())
    end
    assert.same({}, kafka.committed(t.group, t.input))
    assert.equal(0, inputs.count(t.output))
    engine.run(definition { auto_offset_reset = "earliest" })
    assert.equal("1 2 3 4 5", values())
  end)

  it("a start at an offset that is gone is exit 78, unless auto_offset_reset says where to go on", function()
    fill(5)
    kafka.commit(t.group, t.input, { [0] = 1 })
    kafka.delete_records(t.input, { [0] = 3 })
    local run = engine.run(definition { start = "earliest" }, { code = 78 })
    for _, word in ipairs { t.input, "partition 0", "offset 1", "out of range [3, 5]", "auto_offset_reset" } do
      assert.is_true(run:says(word), run:stderr())
    end
    assert.same({ [0] = 1 }, kafka.committed(t.group, t.input))
    assert.equal(0, inputs.count(t.output))
    run = engine.run(definition { auto_offset_reset = "earliest" })
    assert.is_true(run:says("offset 1 is out of range [3, 5]; going on at 3"), run:stderr())
    assert.equal("4 5", values())
  end)

  it("a start at an offset behind the end is treated alike", function()
    fill(2)
    kafka.commit(t.group, t.input, { [0] = 100 })
    assert.is_true(engine.run(definition(), { code = 78 }):says("offset 100, which is out of range [0, 2]"))
    local run = engine.start(definition { auto_offset_reset = "latest" })
    run:wait_for("going on at 2")
    wait.until_true(function() return kafka.committed(t.group, t.input)[0] == 2 end, "a committed beginning")
    kafka.produce(t.input, { { value = "new" } })
    kafka.consume(t.output, { n = 1 })
    run:drain()
    assert.equal("new", values())
  end)

  it("a start finds the ends behind transaction markers, and does not see what was aborted", function()
    t.input = kafka.topic(3)
    for value, ending in pairs { yes = "commit", no = "abort" } do
      local messages = {}
      for partition = 0, 2 do messages[#messages + 1] = { value = value, partition = partition } end
      kafka.produce(t.input, messages, ending)
    end
    local run = engine.run(definition { start = "earliest" })
    assert.equal("yes yes yes", values())
    assert.equal(3, run:report().read)
    kafka.produce(t.input, { { value = "more", partition = 1 } }, "commit")
    assert.equal(1, engine.run(definition()):report().read)
    assert.equal("yes yes yes more", values())
  end)

  for _, delivery in ipairs { "at_least_once", "exactly_once" } do
    it("a start commits what lies behind the last message too: markers, and what was aborted, " .. delivery, function()
      t.input = kafka.topic(2)
      local made = definition { start = "earliest" }
      made.settings, made.commit = { delivery = delivery }, { policy = { min_time = "50ms" } }
      kafka.produce(t.input, { { value = "1", partition = 0 } }, "commit")
      local run = engine.start(made)
      inputs.wait_committed(t.group, t.input)
      kafka.produce(t.input, { { value = "2", partition = 0 } }, "commit")
      kafka.produce(t.input, { { value = "no", partition = 0 }, { value = "no", partition = 1 } }, "abort")
      inputs.wait_committed(t.group, t.input)
      assert.same({ [0] = 6, 2 }, kafka.committed(t.group, t.input))
      run:drain()
      assert.same({ "1 2", 2 }, { values(), run:report().read })
      kafka.produce(t.input, { { value = "3", partition = 1 } }, "commit")
      run = engine.start(made, { args = { "--until-end" } })
      run:ends_with(0)
      assert.same({ [0] = 6, 4 }, kafka.committed(t.group, t.input))
      assert.equal("1 2 3", values())
    end)
  end

  it("a start says where a transaction that has not ended holds it back", function()
    kafka.produce(t.input, { { value = "1" } })
    kafka.produce(t.input, { { value = "2" }, { value = "3" } }, "open")
    for _, read in ipairs { 1, 0 } do
      local run = engine.run(definition { start = "earliest" })
      assert.is_true(run:says(('topic "%s" partition 0: a transaction that has not ended begins at offset 1: what is '
        .. "there up to 3 is not read"):format(t.input)), run:stderr())
      assert.equal(read, run:report().read)
      assert.same({ [0] = 1 }, kafka.committed(t.group, t.input))
    end
  end)

  it("a start without committed offset is said, with where it begins: they may have expired", function()
    fill(5)
    local run = engine.run(definition { start = 3 })
    assert.is_true(run:says(('group "%s" has no committed offset (it is new there, or it expired) and begins by start: '
      .. "%s/0 at 3 of [0, 5]"):format(t.group, t.input)), run:stderr())
    assert.is_false(engine.run(definition { start = 3 }):says "has no committed offset")
  end)

  it("a start ends at once when there is nothing to read", function()
    local run = engine.run(definition { start = "earliest" })
    assert.equal(0, run:report().read)
  end)

  it("a start reads several topics", function()
    local second = kafka.topic(3)
    kafka.produce(t.input, inputs.numbers(1, 100))
    kafka.produce(second, inputs.numbers(101, 200))
    engine.run(definition { topics = { t.input, second }, start = "earliest" })
    inputs.once(t.output, 200)
    assert.same({ [0] = 100 }, kafka.committed(t.group, t.input))
    assert.same(kafka.ends(second), kafka.committed(t.group, second))
  end)

  it("a start reads topics by a pattern, also those made later", function()
    local first = kafka.topic(1)
    local prefix = first:match("^(.*)%-%d+$") -- the topics of this spec file
    kafka.produce(first, { { value = "1" } })
    local run = engine.start(definition { pattern = "^" .. prefix .. "-later-.*|" .. first .. "$", start = "earliest",
      discovery_interval = "300ms" })
    kafka.consume(t.output, { n = 1 })
    local later = kafka.topic(2, nil, prefix .. "-later-1")
    kafka.produce(later, { { value = "2", partition = 0 }, { value = "3", partition = 1 } })
    kafka.consume(t.output, { n = 3 })
    run:drain()
    inputs.once(t.output, 3)
    assert.same({ [0] = 1, 1 }, kafka.committed(t.group, later))
  end)
end)
