-- SPDX-License-Identifier: MIT
-- The program on a real Kafka: check --connect, missing topics, --until-end, committed offsets.
local cjson = require "cjson"
local files = require "spec.house.files"
local kafka = require "spec.support.kafka"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

local TEXT = [[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.kafka_source { brokers = tide.param "brokers", topic = tide.param "topic", group = tide.param "group",
    start = "earliest" },
  tide.run_task_with_multiprocessing { function(message)
    if message.value == "bad" then return tide.reject("bad") end
    if message.value == "skip" then return nil end
    return message
  end, processes = 2 },
  tide.produce { topic = tide.param "output" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = tide.param "dlq" },
}]]

describe("the program on a real Kafka", function()
  if not kafka.bootstrap() then return pending("needs a Kafka") end

  local path, folder, names

  before_each(function()
    path, folder = pipeline_file.write(TEXT)
    names = { brokers = kafka.bootstrap(), topic = kafka.topic(3), output = kafka.topic(2), dlq = kafka.topic(1),
      group = kafka.group() }
  end)
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local function tidemill(verb, ...)
    local arguments = { PROGRAM, verb, path, ... }
    for name, value in pairs(names) do
      arguments[#arguments + 1] = "--set"
      arguments[#arguments + 1] = name .. "=" .. value
    end
    return process.run(arguments, { timeout = 60 })
  end

  it("the program on a real Kafka reaches the brokers and finds the topics", function()
    local code, out, err = tidemill("check", "--connect")
    assert.same({ 0, path .. ": good\n" }, { code, out:match("\n(.*)$") }, err)
  end)

  it("the program on a real Kafka is exit 78 for a topic that is not there, by check and by run, and"
    .. " reads nothing", function()
    for _, missing in ipairs { "topic", "output", "dlq" } do
      local there = names[missing]
      names[missing] = "no-such-topic"
      for _, verb in ipairs { "check", "run" } do
        local code, out, err = tidemill(verb, verb == "check" and "--connect" or "--until-end")
        assert.same({ 78, "" }, { code, out }, verb .. " " .. missing .. ": " .. err)
        assert.is_truthy(err:find("no-such-topic", 1, true), err)
      end
      names[missing] = there
    end
    assert.same({}, kafka.committed(names.group, names.topic))
  end)

  it("the program on a real Kafka stops at the ends that were there, with everything committed, and"
    .. " goes on from there", function()
    local messages = {}
    for i = 1, 3000 do
      messages[i] = { key = "k" .. i, value = i % 100 == 0 and "bad" or i % 10 == 0 and "skip" or "v" .. i,
        partition = i % 3 }
    end
    kafka.produce(names.topic, messages)
    local code, _, err = tidemill("run", "--until-end", "--report", folder .. "/report.json")
    assert.equal(0, code, err)
    local report = cjson.decode(files.read(folder .. "/report.json"))
    assert.same({ 3000, 2700, 2700, 270, 30 }, { report.read, report.produced, report.produced_from, report.filtered,
      report.dead_lettered }, err)
    assert.equal(2700, #kafka.consume(names.output))
    assert.equal(30, #kafka.consume(names.dlq))
    assert.same(kafka.ends(names.topic), kafka.committed(names.group, names.topic))
    kafka.produce(names.topic, { { value = "one more" } })
    code, _, err = tidemill("run", "--until-end", "--report", folder .. "/report.json")
    assert.equal(0, code, err)
    assert.equal(1, cjson.decode(files.read(folder .. "/report.json")).read)
  end)

  it("the program on a real Kafka records what comes from now on, chosen by text and partition, into"
    .. " what run reads", function()
    kafka.produce(names.topic, { { value = "old new", partition = 1 } })
    local out = folder .. "/recorded.jsonl"
    local arguments = { PROGRAM, "record", path, "--latest", "--match", "new", "--partition", "1", "--count", "3",
      "--out", out }
    for name, value in pairs(names) do
      arguments[#arguments + 1] = "--set"
      arguments[#arguments + 1] = name .. "=" .. value
    end
    local record, deadline = process.start(arguments), wait.now() + 60
    while record:running() do -- nobody outside can see where it has begun, so messages keep coming
      assert(wait.now() < deadline, record:stderr())
      kafka.produce(names.topic, { { value = "new", key = "k", partition = 1 }, { value = "new", partition = 0 },
        { value = "other", partition = 1 } })
    end
    local words = "3 messages in " .. out .. ", as many as --count says\n"
    assert.same({ 0, words }, { record:code(), record:stdout() }, record:stderr())
    for _, line in ipairs(files.lines(out)) do
      local message = cjson.decode(line)
      assert.same({ "new", "k" }, { message.value, message.key })
    end
    assert.same({}, kafka.committed(names.group, names.topic))
    local code, text, err = tidemill("run", "--input", out, "--input-format", "json", "--output-format", "json")
    assert.equal(0, code, err)
    assert.equal(3, select(2, text:gsub('"key":"k"', "")))
  end)
end)
