-- SPDX-License-Identifier: MIT
-- The strategies' offset rules on a real Kafka, and `tidemill record` from a topic.
local cjson = require "cjson"
local engine = require "spec.support.engine"
local files = require "spec.house.files"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local pipeline_file = require "spec.support.pipeline_file"
local testing = require "tidemill.testing"
local wait = require "spec.support.wait"

kafka.describe("on a real Kafka", { output = { 1, { ["max.message.bytes"] = 5000 } } }, function(t)
  -- %s of `steps` is the output topic.
  local function definition(steps, source)
    return t:definition { source = source, steps = steps:gsub("%%s", t.output), commit = { policy = "immediate" } }
  end

  local function values(topic)
    local list = {}
    for i, message in ipairs(kafka.consume(topic)) do list[i] = message.value end
    return list
  end

  local function put(...)
    local messages = {}
    for i, value in ipairs { ... } do messages[i] = { value = value, partition = 0 } end
    kafka.produce(t.input, messages)
  end


  it("filter keeps the offsets moving when nothing is left to deliver", function()
    kafka.produce(t.input, inputs.numbers(1, 5000))
    local run = engine.start(definition [[
      tide.filter { function(message) return message.value == "none" end }, tide.produce { topic = "%s" }]])
    inputs.wait_committed(t.group, t.input)
    local report = run:drain():report()
    assert.same({ 5000, 5000, 0 }, { report.read, report.filtered, report.produced })
    assert.equal(5000, report.metrics["strategies.filter.dropped_messages"])
    assert.equal(0, inputs.count(t.output))
  end)

  it("unfold commits a message only when all that was made of it is delivered", function()
    local unfold = [[
      tide.unfold { function(message)
        return { message.value .. "1", message.value .. "2", %size }
      end }, tide.produce { topic = "%s" }]]
    put("a", "b", "c")
    -- The broker refuses the last child of b: there is no dlq, so the run ends.
    engine.run(definition((unfold:gsub("%%size", 'message.value == "b" and ("x"):rep(20000) or message.value .. "3"'))),
      { code = 65 })
    assert.same({ [0] = 1 }, kafka.committed(t.group, t.input))
    engine.run(definition((unfold:gsub("%%size", 'message.value .. "3"'))))
    assert.same({ [0] = 3 }, kafka.committed(t.group, t.input))
    local count = {}
    for _, value in ipairs(values(t.output)) do count[value] = (count[value] or 0) + 1 end
    for _, name in ipairs { "a1", "a2", "a3" } do assert.equal(1, count[name], name) end
    for _, name in ipairs { "b1", "b2", "b3", "c1", "c2", "c3" } do assert.is_true(count[name] >= 1, name) end
  end)

  it("reduce commits the messages of a batch once its result is delivered, and begins again with those left", function()
    local reduce = definition([[
      tide.reduce { function(list, message)
        list[#list + 1] = message.value
        return list
      end, initial_value = function() return {} end, max_batch_size = 4, max_batch_time = "1h",
        result = function(list) return table.concat(list, ",") end },
      tide.produce { topic = "%s" }]], { instance = "one" })
    put("1", "2", "3", "4", "5", "6", "7", "8", "9", "10")
    local run = engine.start(reduce)
    wait.until_true(function() return run:total("read") == 10 end, "all to be read")
    wait.until_true(function() return kafka.committed(t.group, t.input)[0] == 8 end, "two batches to be committed")
    assert.same({ "1,2,3,4", "5,6,7,8" }, values(t.output))
    run:signal "KILL"
    run.process:wait()
    assert.same({ [0] = 8 }, kafka.committed(t.group, t.input))
    engine.run(reduce)
    assert.same({ "1,2,3,4", "5,6,7,8", "9,10" }, values(t.output))
    assert.same({ [0] = 10 }, kafka.committed(t.group, t.input))
  end)

  it("record takes the first messages of a topic, commits nothing, and a spec may replay them", function()
    kafka.produce(t.input, { { key = "k", value = '{"v":1}', headers = { { "h", "x" } }, partition = 0,
      timestamp = 1772000000123 }, { value = '{"v":2}', partition = 0 }, { value = '{"v":3}', partition = 0 } })
    local path = pipeline_file.folder() .. "/recorded.jsonl"
    local steps = definition [[
      tide.run_task { function(message)
        message.json.v = message.json.v * 2
        return message
      end }, tide.produce { topic = "%s" }]]
    local code, _, words = engine.verb("record", steps, { args = { "--count", "2", "--out", path } })
    assert.equal(0, code, words)
    local lines = files.lines(path)
    assert.equal(2, #lines)
    local first = cjson.decode(lines[1])
    assert.same({ "k", '{"v":1}', 1772000000123 }, { first.key, first.value, first.timestamp })
    assert.same({ {}, 0 }, { kafka.committed(t.group, t.input), inputs.count(t.output) })
    local test = testing.pipeline((engine.file(steps)))
    test:replay(path)
    assert.produces(test, { { key = "k", value = '{"v":2}', headers = { { "h", "x" } }, timestamp = 1772000000123 },
      '{"v":4}' })
    test:close()
  end)

  it("record names each message's own topic, of several and of a pattern", function()
    local folder, prefix = pipeline_file.folder(), "record-" .. kafka.group()
    local one, two = kafka.topic(1, nil, prefix .. "-a"), kafka.topic(1, nil, prefix .. "-b")
    kafka.produce(one, { { value = "1" } })
    kafka.produce(two, { { value = "2" } })
    for i, source in ipairs { { topics = { one, two } }, { pattern = "^" .. prefix } } do
      local path = ("%s/%d.jsonl"):format(folder, i)
      source.group = kafka.group()
      local code, _, words = engine.verb("record", { source = source, produce = { topic = t.output } },
        { args = { "--out", path } })
      assert.equal(0, code, words)
      local found = {}
      for _, line in ipairs(files.lines(path)) do
        local message = cjson.decode(line)
        found[message.value] = message.topic
      end
      assert.same({ ["1"] = one, ["2"] = two }, found)
    end
  end)
end)
