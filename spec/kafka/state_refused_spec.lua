-- SPDX-License-Identifier: MIT
-- State with a changelog and what cannot be kept: each is a clear error or a dead letter, and nothing is lost.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local kafka_state = require "spec.support.kafka_state"

kafka.describe("state with a changelog, when", { input = { 3 }, output = { 1 } }, function(t)
  local state, folder

  kafka_state.each(function(name, path) state, folder = name, path end)

  -- What a spec sets holds for all specs that come behind it on this broker, so each leaves what kafka.properties has.
  after_each(function() kafka.set_broker { "message.max.bytes=67108864" } end)

  local function definition(more)
    local steps = [[tide.keyed { function(message, state)
        state.value = (state.value or 0) + 1
        return message.value .. " " .. state.value
      end, state = "%s", processes = 2 },
      tide.produce { topic = "%s" }]]
    return t:definition({ commit = { policy = { min_time = "50ms" } }, source = { discovery_interval = "1s" },
      steps = steps:format(state, t.output), dlq = { topic = t.letters }, settings = { state_dir = folder } }, more)
  end

  -- Messages from .. to, one of each key.
  local function fill(from, to)
    local messages = {}
    for i = from, to do messages[#messages + 1] = { key = "k" .. i, value = tostring(i) } end
    kafka.produce(t.input, messages)
  end

  -- Each of 1 .. count was counted once.
  local function judge(count)
    local seen = {}
    for _, message in ipairs(kafka.consume(t.output)) do
      local number, value = message.value:match "^(%d+) (%d+)$"
      assert.equal("1", value, "message " .. number)
      seen[tonumber(number)] = true
    end
    assert.equal(count, #seen)
  end

  it("the input gets more partitions than the changelog, ends with 78, and says so at the next start", function()
    fill(1, 30)
    local run = engine.start(definition())
    inputs.wait_committed(t.group, t.input)
    kafka.add_partitions(t.input, 4)
    run:ends_with(78)
    assert.is_true(run:says(('topic "%s" has a partition 3, its changelog'):format(t.input)), run:stderr())
    run = engine.run(definition(), { code = 78 })
    assert.is_true(run:says("has 3 partitions, and the input"), run:stderr())
    judge(30)
  end)

  it("state_dir is that of another topic, ends with 78 and reads nothing", function()
    fill(1, 30)
    engine.run(definition())
    local input = t.input
    t.input = kafka.topic(3)
    fill(1, 30)
    local run = engine.run(definition(), { code = 78 })
    assert.is_true(run:says(('state_dir %s has the state of pipeline spec'):format(folder)) and run:says(input),
      run:stderr())
    assert.equal(30, inputs.count(t.output))
  end)

  it("state_dir is lost and the key is another than before, ends with 78 and counts nothing by it", function()
    kafka.produce(t.input, { { key = "a", value = '{"n":1}', partition = 0 },
      { key = "a", value = '{"n":2}', partition = 0 } })
    engine.run(definition())
    local by_number = { steps = definition().steps:gsub('state = "', 'by = "json:n", state = "') }
    os.execute("rm -rf " .. folder)
    kafka.produce(t.input, { { key = "a", value = '{"n":3}', partition = 0 } })
    local run = engine.run(definition(by_number), { code = 78 })
    assert.is_true(run:says(('topic "spec.%s.changelog" partition 0 has the state "%s" by key, which this pipeline '
      .. "keeps by json:n; name another state"):format(state, state)), run:stderr())
    assert.equal(2, inputs.count(t.output))
    os.execute("rm -rf " .. folder)
    engine.run(definition())
    assert.equal(3, inputs.count(t.output))
    assert.equal('{"n":3} 3', kafka.consume(t.output)[3].value)
  end)

  it("a message has a key of tidemill's own, makes it a dead letter", function()
    kafka.produce(t.input, { { key = "\0by", value = "1" }, { key = "\0watermark", value = "2" },
      { key = "\0other", value = "3" } })
    engine.run(definition())
    assert.equal("3 1", kafka.consume(t.output)[1].value)
    assert.equal(2, #kafka.consume(t.letters))
  end)

  it("a key has 100 KB, makes it a dead letter, and counts the others", function()
    local long = ("k"):rep(100000)
    kafka.produce(t.input, { { key = long, value = "5" }, { key = "a", value = "1" },
      { key = ("k"):rep(480), value = "2" } })
    engine.run(definition())
    judge(2)
    local letters = kafka.consume(t.letters)
    assert.same({ 1, long, "5" }, { #letters, letters[1].key, letters[1].value })
    local words = {}
    for _, header in ipairs(letters[1].headers) do words[header[1]] = header[2] end
    assert.equal("no_key", words.reason)
    assert.equal("the key of the message has 100000 bytes; state has keys of 480 at most", words.error)
  end)

  -- In a namespace of its own, where a folder can be a small disk.
  it("the disk of state_dir is full, ends with 75, and the next run goes on without a loss", function()
    local program = folder .. "-small_disk"
    local file = assert(io.open(program, "w"))
    file:write(([[#!/bin/sh
mkdir -p %s
exec unshare -rm sh -c 'mount -t tmpfs -o size=100k none %s && exec "$0" "$@"' %s "$@"
]]):format(folder, folder, engine.PROGRAM))
    file:close()
    os.execute("chmod +x " .. program)
    fill(1, 3000)
    local run = engine.run(definition(), { code = 75, program = program })
    assert.is_true(run:says("its disk is full; the last commit stands"), run:stderr())
    engine.run(definition())
    judge(3000)
  end)

  it("a record is longer than its changelog takes by now, ends with 78, and reads it again once it does", function()
    kafka.set_broker { "message.max.bytes=2000000" }
    kafka.topic(3, { ["cleanup.policy"] = "compact" }, "spec." .. state .. ".changelog")
    fill(1, 30)
    local long = { steps = definition().steps:gsub("%(state.value or 0%) %+ 1", '("x"):rep(2 ^ 20)')
      :gsub("state.value\n", "1\n") }
    local run = engine.start(definition(long))
    inputs.wait_committed(t.group, t.input)
    kafka.set_broker { "message.max.bytes=1000000" }
    local filled = 30
    repeat -- the broker takes it for a while still
      filled = filled + 1
      fill(filled, filled)
      inputs.wait_committed(t.group, t.input, 60, function() return not run.process:running() end)
    until not run.process:running()
    run:ends_with(78)
    assert.is_true(run:says "does not take a value of" and run:says "give it max.message.bytes=1114112", run:stderr())
    kafka.set_broker { "message.max.bytes=2000000" }
    engine.run(definition(long))
    judge(filled)
  end)
end)
