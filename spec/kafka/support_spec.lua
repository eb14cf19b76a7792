-- SPDX-License-Identifier: MIT
local engine = require "spec.support.engine"
local kafka = require "spec.support.kafka"
local wait = require "spec.support.wait"

kafka.describe("the Kafka of the specs", function(t)
  it("the Kafka of the specs gives back what was produced, byte for byte, null kept apart from empty", function()
    local topic = kafka.topic(2)
    local headers = { { "h", "1" }, { "h", "" }, { "g" } }
    local sent = {
      { partition = 0, timestamp = 1234, key = "k\0\n,", value = "v", headers = headers },
      { partition = 0, timestamp = 1235, key = "", value = "" },
      { partition = 1, timestamp = 1795376729891 },
    }
    kafka.produce(topic, sent)
    local seen = kafka.consume(topic)
    table.sort(seen, function(a, b) return a.partition * 10 + a.offset < b.partition * 10 + b.offset end)
    assert.equal(3, #seen)
    for i, message in ipairs(seen) do
      sent[i].headers = sent[i].headers or {}
      sent[i].offset = i == 2 and 1 or 0
      assert.same(sent[i], message)
    end
    assert.same({ [0] = 2, 1 }, (kafka.ends(topic)))
  end)

  it("the Kafka of the specs gives the first messages of each partition as a sample", function()
    local topic, sent = kafka.topic(3), {}
    for i = 0, 9 do sent[i + 1] = { partition = i % 2, value = tostring(i) } end
    kafka.produce(topic, sent)
    local seen = {}
    for i, message in ipairs(kafka.sample(topic, 2)) do seen[i] = message.value end
    table.sort(seen)
    assert.same({ "0", "1", "2", "3" }, seen)
  end)

  it("the Kafka of the specs shows committed transactions only", function()
    local topic = kafka.topic(1)
    kafka.produce(topic, { { value = "no" } }, "abort")
    kafka.produce(topic, { { value = "yes" } }, "commit")
    local seen = kafka.consume(topic, { n = 1 })
    assert.equal(1, #seen)
    assert.equal("yes", seen[1].value)
    assert.equal(4, kafka.ends(topic)[0])
  end)

  it("the Kafka of the specs waits for a transaction that is about to be committed", function()
    kafka.produce(t.input, { { value = "1" } })
    local run = engine.start(t:definition { commit = { policy = { min_time = "2s" } },
      settings = { delivery = "exactly_once" } })
    wait.until_true(function() return kafka.ends(t.output, "read_uncommitted")[0] >= 1 end, "an open transaction")
    assert.equal("1", kafka.consume(t.output)[1].value)
    run:drain()
  end)

  it("the Kafka of the specs keeps committed offsets, deletes records, adds partitions", function()
    local topic, group = kafka.topic(2), kafka.group()
    assert.same({}, kafka.committed(group, topic))
    kafka.commit(group, topic, { [1] = 5 })
    assert.same({ [1] = 5 }, kafka.committed(group, topic))
    kafka.produce(topic, { { value = "a", partition = 0 }, { value = "b", partition = 0 } })
    kafka.delete_records(topic, { [0] = 1 })
    local highs, lows = kafka.ends(topic)
    assert.same({ [0] = 2, 0 }, highs)
    assert.same({ [0] = 1, 0 }, lows)
    kafka.add_partitions(topic, 3)
    assert.same({ [0] = 2, 0, 0 }, (kafka.ends(topic)))
    kafka.delete_topic(topic)
    assert.has_error(function() kafka.ends(topic) end)
  end)

  it("the Kafka of the specs comes back on the same port after a kill", function()
    local topic = kafka.topic(1)
    kafka.produce(topic, { { value = "kept" } })
    kafka.kill_broker()
    kafka.restart_broker()
    assert.equal("kept", kafka.consume(topic)[1].value)
  end)
end)
