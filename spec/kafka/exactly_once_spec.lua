-- SPDX-License-Identifier: MIT
-- delivery = "exactly_once" on a real Kafka: outputs, dead letters and offsets become visible together, once.
local engine = require "spec.support.engine"
local kafka = require "spec.support.kafka"

describe("exactly once", function()
  if not kafka.bootstrap() then return pending("needs a Kafka") end

  local input, output, group

  local function definition(more)
    local made = {
      source = { topic = input, group = group, start = "earliest" }, produce = { topic = output },
      commit = { policy = { min_time = "50ms" } }, settings = { delivery = "exactly_once" },
    }
    for name, value in pairs(more or {}) do made[name] = value end
    return made
  end

  local function fill(count)
    local messages = {}
    for i = 1, count do messages[i] = { key = "k" .. i % 7, value = tostring(i), timestamp = i } end
    kafka.produce(input, messages)
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
    local counts, total = seen(output)
    for i = 1, count do assert.equal(1, counts[tostring(i)], "message " .. i) end
    assert.equal(count, total)
  end

  before_each(function()
    input, output, group = kafka.topic(2), kafka.topic(3), kafka.group()
  end)
  after_each(engine.stop_all)

  it("delivers each message once and commits its offset with it", function()
    fill(2000)
    local run = engine.run(definition())
    assert_once(2000)
    local total = 0
    for _, offset in pairs(kafka.committed(group, input)) do total = total + offset end
    assert.equal(2000, total)
    local report = run:report()
    assert.equal(2000, report.produced_from)
    assert.is_true(report.metrics["producer.transaction.time"].count >= 1)
    assert.equal(0, report.metrics["producer.transaction.aborted"])
  end)
end)
