-- SPDX-License-Identifier: MIT
-- `tidemill tune` on a real topic: it reads what the pipeline would read, and leaves no trace in the pipeline's group
-- and in its topics.
local cjson = require "cjson"
local kafka = require "spec.support.kafka"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local PROGRAM = require("spec.support.program").path

local TEXT = [[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.kafka_source { brokers = tide.param "brokers", topic = tide.param "topic", group = tide.param "group",
    start = "latest" },
  tide.run_task_with_multiprocessing { function(message)
    local ends = os.clock() + 0.0001 -- a backlog that is gone at once cannot be measured
    while os.clock() < ends do end
    if message.offset %% 10 == 0 then return tide.reject("bad") end
    if message.offset %% 10 == 1 then message.topic = tide.param("other") end
    return message
  end, processes = 1, max_batch_size = 100 },
  tide.produce { topic = tide.param "output", topics = { tide.param "other" } },
  tide.commit_offsets {},
  delivery = %q, dlq = tide.dlq { topic = tide.param "dlq" },
}]]

local MESSAGES = 16000 -- which last longer than a trial

local function count(topic)
  local sum = 0
  for _, offset in pairs((kafka.ends(topic, "read_uncommitted"))) do sum = sum + offset end
  return sum
end

describe("tidemill tune on a real Kafka", function()
  if not kafka.bootstrap() then return pending("needs a Kafka") end

  local names

  before_each(function()
    names = { brokers = kafka.bootstrap(), topic = kafka.topic(2), output = kafka.topic(1), other = kafka.topic(1),
      dlq = kafka.topic(1), group = kafka.group() }
    local messages = {}
    for i = 1, MESSAGES do messages[i] = { key = tostring(i), value = ("message %d"):format(i), partition = i % 2 } end
    kafka.produce(names.topic, messages)
  end)

  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local function tune(delivery, ...)
    local path = pipeline_file.write(TEXT:format(delivery))
    local arguments = { PROGRAM, "tune", path, "--seconds", "0.5", "--json", ... }
    for name, value in pairs(names) do
      arguments[#arguments + 1] = "--set"
      arguments[#arguments + 1] = name .. "=" .. value
    end
    local code, out, err = process.run(arguments, { timeout = 60 })
    local objects = {}
    for line in out:gmatch "[^\n]+" do objects[#objects + 1] = cjson.decode(line) end
    return code, objects, err
  end

  for _, delivery in ipairs { "at_least_once", "exactly_once" } do
    it("tidemill tune on a real Kafka commits nothing in the pipeline's group and writes to none of its topics, "
      .. "in a pipeline that is " .. delivery, function()
      kafka.commit(names.group, names.topic, { [0] = 7 })
      local code, objects, err = tune(delivery, "--runs", "1")
      assert.equal(0, code, err)
      assert.is_true(objects[1].rate > 0 and objects[1].messages > 0)
      assert.is_true(objects[1].rejected > 0)
      assert.same({ [0] = 7 }, kafka.committed(names.group, names.topic))
      for _, topic in ipairs { "output", "other", "dlq" } do assert.equal(0, count(names[topic]), topic) end
      assert.equal(MESSAGES, count(names.topic))
    end)
  end

  it("tidemill tune on a real Kafka writes the results to a scratch topic, whichever topic they name, and no "
    .. "dead letters",
    function()
      local scratch = kafka.topic(1)
      local code, _, err = tune("at_least_once", "--runs", "1", "--output-topic", scratch)
      assert.equal(0, code, err)
      assert.is_true(count(scratch) > 0)
      for _, topic in ipairs { "output", "other", "dlq" } do assert.equal(0, count(names[topic]), topic) end
      assert.same({}, kafka.committed(names.group, names.topic))
    end)

  it("tidemill tune on a real Kafka begins each run where --start says, and reads as many messages as it "
    .. "may", function()
    local ten_before = tostring(MESSAGES / 2 - 10) -- the end of each partition
    local code, objects, err = tune("at_least_once", "--runs", "2", "--start", ten_before, "--messages", "50")
    -- So few may be complete before a run is measured.
    local seen = code == 0 and objects[1].messages or tonumber(err:match "run 1 failed: (%d+) messages are too few")
    assert.is_true(seen ~= nil and seen <= 20, err)
    code, objects, err = tune("at_least_once", "--runs", "1", "--start", "999999")
    assert.same({ 78, {} }, { code, objects })
    assert.truthy(err:find "start = 999999 is out of range %[0, %d+%]", err)
  end)

  it("tidemill tune on a real Kafka says that one message is too few, and that a topic is not there", function()
    names.topic = kafka.topic(1)
    kafka.produce(names.topic, { { value = "one" } })
    local code, objects, err = tune("at_least_once")
    assert.same({}, objects)
    -- It is a dead letter; whether it became one before the run was measured is chance.
    assert.truthy(code == 66 and err:find "run 1 failed: 1 messages are too few to measure"
      or code == 65 and err:find "run 1 failed: all 1 messages became dead letters", err)
    code, objects, err = tune("at_least_once", "--output-topic", "not-there")
    assert.same({ 78, {} }, { code, objects }, err)
    assert.truthy(err:find 'topic "not%-there" is not there')
  end)

  it("tidemill tune on a real Kafka says that a topic has nothing to read", function()
    names.topic = kafka.topic(1)
    local code, objects, err = tune("at_least_once")
    assert.same({ 66, {} }, { code, objects }, err)
    assert.truthy(err:find "there are no messages to read")
  end)
end)
