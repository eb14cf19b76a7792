-- SPDX-License-Identifier: MIT
-- `tidemill state FILE drop NAME` on a real Kafka: what it deletes, and what stays in the changelog.
local engine = require "spec.support.engine"
local kafka = require "spec.support.kafka"
local kafka_state = require "spec.support.kafka_state"
local process = require "spec.support.process"

kafka.describe("a state that no step has any more", { input = { 2 }, output = { 1 } }, function(t)
  local state, folder, read

  kafka_state.each(function(name, path) state, folder, read = name, path, 0 end)

  -- One step counts in the state of that name and says so in the output, another one in `state` and says nothing.
  local function definition(name)
    local step = 'tide.keyed { function(message, state) state.value = (state.value or 0) + 1 %s end, state = "%s" },\n'
    local steps = step:format("return message", state)
    if name then steps = steps .. step:format('return message.key .. " " .. state.value', name) end
    return t:definition { steps = steps .. ('tide.produce { topic = "%s" }'):format(t.output),
      settings = { state_dir = folder } }
  end

  -- The outputs of a run on two messages of "a" and one of "b" more.
  local function run(name)
    kafka.produce(t.input, { { key = "a", value = "1" }, { key = "a", value = "2" }, { key = "b", value = "3" } })
    engine.run(definition(name))
    local all, values = kafka.consume(t.output), {}
    for i = read + 1, #all do values[#values + 1] = all[i].value end
    read = #all
    table.sort(values)
    return values
  end

  local function drop(name, code, said)
    local path = engine.file(definition())
    local got, out, err = process.run { engine.PROGRAM, "state", path, "drop", name, "--yes" }
    assert.same({ code, "" }, { got, out }, err)
    assert.is_truthy(err:find(said, 1, true), err)
  end

  it("is deleted here; its changelog stays, and a step that has it again goes on with that until the topic is deleted",
    function()
      local other = state .. "_other"
      local topic = ("spec.%s.changelog"):format(other)
      assert.same({ "a 1", "a 2", "b 1" }, run(other))
      assert.equal(3, #run())
      drop(state, 78, "a step has the state")
      drop(other, 0, "is deleted here; its topic " .. topic .. " stays")
      drop(other, 64, "the store has no state of that name; none is left over")
      assert.same({ "a 3", "a 4", "b 2" }, run(other))
      assert.equal(3, #run())
      drop(other, 0, "is deleted here")
      kafka.delete_topic(topic)
      assert.same({ "a 1", "a 2", "b 1" }, run(other))
    end)
end)
