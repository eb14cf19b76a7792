-- SPDX-License-Identifier: MIT
-- What goes through a pipeline: every field of a message, every kind of result, its partition, its order, once.
local engine = require "spec.support.engine"
local kafka = require "spec.support.kafka"

local function by_value(messages)
  local found = {}
  for _, message in ipairs(messages) do found[message.value or "null"] = message end
  return found
end

kafka.describe("delivery", function(t)
  it("delivery keeps key, headers, timestamp, tombstones; null is not empty", function()
    local headers = { { "a", "1" }, { "a", "2" }, { "null" }, { "empty", "" }, { "", "no name" }, { "a", "1" } }
    local sent = {
      { key = "k\0\n", value = "v\0\255", headers = headers, timestamp = 1234567890123 },
      { key = "tombstone", timestamp = 1 },
      { key = "", value = "null and empty key", headers = { { "h" } }, timestamp = 2 },
      { value = "null key", timestamp = 3 },
      { key = "empty value", value = "", timestamp = 4 },
      { timestamp = 5 },
    }
    kafka.produce(t.input, sent)
    engine.run(t:definition())
    local seen = kafka.consume(t.output)
    for i, message in ipairs(sent) do
      message.partition, message.offset, message.headers = 0, i - 1, message.headers or {}
      assert.same(message, seen[i])
    end
    assert.equal(#sent, #seen)
  end)

  it("delivery takes a message, a text, a table, nil and a rejection as results", function()
    local letters = kafka.topic(1)
    local sent = {}
    for i, value in ipairs { "same", "text", "table", "null", "nil", "reject", "edit" } do
      sent[i] = { key = "k", value = value, headers = { { "h", "1" } }, timestamp = 100 + i }
    end
    kafka.produce(t.input, sent)
    engine.run(t:definition { dlq = { topic = letters }, task = [[function(message)
      local results = {
        same = message, text = "a text",
        table = { key = "other", value = "a table", headers = { { "x", tide.null }, { "x", "" } }, timestamp = 7 },
        null = { key = tide.null, value = tide.null }, reject = tide.reject("no good"), edit = message,
      }
      if message.value == "edit" then message.value, message.key = "edited", "new" end
      return results[message.value == "edited" and "edit" or message.value]
    end]] })
    assert.same({
      { key = "k", value = "same", headers = { { "h", "1" } }, timestamp = 101, partition = 0, offset = 0 },
      { key = "k", value = "a text", headers = { { "h", "1" } }, timestamp = 102, partition = 0, offset = 1 },
      { key = "other", value = "a table", headers = { { "x" }, { "x", "" } }, timestamp = 7, partition = 0,
        offset = 2 },
      { headers = { { "h", "1" } }, timestamp = 104, partition = 0, offset = 3 },
      { key = "new", value = "edited", headers = { { "h", "1" } }, timestamp = 107, partition = 0, offset = 4 },
    }, kafka.consume(t.output))
    local dead = kafka.consume(letters)
    assert.equal(1, #dead)
    assert.equal("reject", dead[1].value)
    assert.same({ [0] = 7 }, kafka.committed(t.group, t.input))
  end)

  it("delivery puts a key into the partition where Kafka's own client puts it", function()
    t.output = kafka.topic(16)
    local other, sent = kafka.topic(16), {}
    for i = 1, 500 do sent[i] = { key = ("key-%d"):format(i * i):rep(i % 5 + 1), value = "v" .. i } end
    -- murmur2 as org.apache.kafka.common.utils.UtilsTest has it: (hash & 0x7fffffff) % 16
    local known = { ["21"] = -973932308, foobar = -790332482, ["a-little-bit-long-string"] = -985981536,
      ["a-little-bit-longer-string"] = -1486304829, ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"] = -58897971,
      abc = 479470107 }
    for key in pairs(known) do sent[#sent + 1] = { key = key, value = key } end
    kafka.produce(t.input, sent)
    kafka.produce(other, sent)
    engine.run(t:definition())
    local seen, told = by_value(kafka.consume(t.output)), by_value(kafka.consume(other))
    for _, message in ipairs(sent) do
      assert.equal(told[message.value].partition, seen[message.value].partition, message.key)
    end
    for key, hash in pairs(known) do assert.equal(hash % 2 ^ 31 % 16, seen[key].partition, key) end
  end)

  it("delivery keeps the partition when told so, and refuses an output with fewer", function()
    t.input, t.output = kafka.topic(8), kafka.topic(9)
    local sent = {}
    for i = 1, 400 do sent[i] = { key = "one key", value = tostring(i), partition = i % 8 } end
    kafka.produce(t.input, sent)
    engine.run(t:definition { produce = { topic = t.output, partition = "same" } })
    local seen = kafka.consume(t.output)
    assert.equal(400, #seen)
    for _, message in ipairs(seen) do assert.equal(tonumber(message.value) % 8, message.partition) end
    local few = kafka.topic(7)
    t.group = kafka.group()
    local refused = engine.run(t:definition { produce = { topic = few, partition = "same" } }, { code = 78 })
    assert.is_true(refused:says(t.input) and refused:says(few), refused:stderr())
    assert.same({}, kafka.committed(t.group, t.input))
  end)

  it("delivery lets a result choose topic and partition", function()
    t.output = kafka.topic(3)
    local second = kafka.topic(2)
    kafka.produce(t.input, { { value = "first" }, { value = "second" } })
    engine.run(t:definition { produce = { topic = t.output, topics = { second } }, task = ([[function(message)
      if message.value == "first" then return { partition = 2 } end
      return { topic = %q, partition = 1 }
    end]]):format(second) })
    assert.equal(2, kafka.consume(t.output)[1].partition)
    assert.same({ "second", 1 }, { kafka.consume(second)[1].value, kafka.consume(second)[1].partition })
  end)

  it("delivery brings 100,000 messages of 16 partitions through once each, in order per partition and key", function()
    t.input, t.output = kafka.topic(16), kafka.topic(16)
    local sent = {}
    for i = 1, 100000 do sent[i] = { key = "k" .. i % 997, value = tostring(i) } end
    kafka.produce(t.input, sent)
    local run = engine.run(t:definition { task_options = { processes = 2 } })
    local last, count = {}, 0
    for _, message in ipairs(kafka.consume(t.output)) do
      local number = tonumber(message.value)
      count = count + 1
      assert(number > (last[message.key] or 0), "out of order or doubled: " .. message.value)
      last[message.key] = number
    end
    assert.equal(100000, count) -- as each key's numbers rise, none is there twice
    local report = run:report()
    assert.same({ 100000, 100000, 100000, 0, 0 }, { report.read, report.produced, report.produced_from,
      report.filtered, report.dead_lettered })
    assert.same(kafka.ends(t.input), kafka.committed(t.group, t.input))
  end)
end)
