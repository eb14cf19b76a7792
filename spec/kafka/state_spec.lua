-- SPDX-License-Identifier: MIT
-- State with a changelog on a real Kafka: counts per key are exact whatever dies. Each output says which message it is
-- of and the count that its key had then, so a repeated output must say the same again.
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local files = require "spec.house.files"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local kafka_state = require "spec.support.kafka_state"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PARTITIONS, KEYS = 3, 499

kafka.describe("state with a changelog", { input = { PARTITIONS }, output = { 1 } }, function(t)
  local state, folder, filled

  kafka_state.each(function(name, path) state, folder, filled = name, path, 0 end)

  local function changelog()
    return "spec." .. state .. ".changelog"
  end

  local FUNCTION = [[function(message, state)
    state.value = (state.value or 0) + 1
    %s
    return message.value .. " " .. state.value
  end]]

  local function definition(more, body, dir)
    local given = {
      commit = { policy = { min_time = "50ms" } },
      source = { rdkafka = { ["session.timeout.ms"] = 6000, ["heartbeat.interval.ms"] = 300 } },
      steps = ('tide.keyed { %s, state = "%s", processes = 2, max_batch_size = 50 },\ntide.produce { topic = "%s" }')
        :format(FUNCTION:format(body or ""), state, t.output),
      settings = { state_dir = dir or folder },
    }
    for name, value in pairs(more or {}) do
      if type(value) == "table" and type(given[name]) == "table" then
        for key, item in pairs(value) do given[name][key] = item end
      else
        given[name] = value
      end
    end
    return t:definition(given)
  end

  local function exactly_once(more)
    local all = { settings = { delivery = "exactly_once" } }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end

  -- Messages that keys share evenly over the partitions.
  local function fill(from, to)
    local messages = {}
    for i = from, to do messages[#messages + 1] = { key = "k" .. i % KEYS, value = tostring(i) } end
    kafka.produce(t.input, messages)
    filled = to
  end

  -- Each message of 1 .. count is there, and each output has the count that its key had. once: none twice.
  local function judge(count, once)
    local seen, total = {}, 0
    for _, message in ipairs(kafka.consume(t.output)) do
      local number, value = message.value:match("^(%d+) (%d+)$")
      number = tonumber(number)
      local expected = math.floor(number / KEYS) + (number % KEYS == 0 and 0 or 1)
      assert.equal(expected, tonumber(value), "message " .. message.value)
      total = total + (seen[number] and 0 or 1)
      assert.is_falsy(once and seen[number], "twice: " .. message.value)
      seen[number] = true
    end
    assert.equal(count, total)
  end

  -- { key = value } as the changelog has it, and the number of its records.
  local function restored()
    local values, count = {}, 0
    for _, record in ipairs(kafka.consume(changelog())) do
      count = count + 1
      values[record.key] = record.value
    end
    return values, count
  end

  -- About 50 us a message, so that the load lasts.
  local SLOW = "local x = 0; for i = 1, 20000 do x = x + i % 7 end"

  it("makes the topic, compacted and with the partitions of the input, and writes readable records", function()
    fill(1, 10 * KEYS)
    local run = engine.run(definition())
    judge(10 * KEYS, true)
    assert.is_true(run:says('"' .. changelog() .. '": 3 partitions, 1 replicas, compacted'), run:stderr())
    local values = restored()
    for i = 0, KEYS - 1 do
      local kind, expires, offset, value = values["k" .. i]:match("^(%a+) (%d+) (%d+)\n(.*)$")
      assert.same({ "number", "0", "10" }, { kind, expires, value })
      assert.is_true(tonumber(offset) >= 9)
    end
    local total = 0
    for _, offset in pairs(kafka.committed(t.group, t.input)) do total = total + offset end
    assert.equal(10 * KEYS, total)
    fill(10 * KEYS + 1, 20 * KEYS)
    engine.run(definition())
    judge(20 * KEYS, true)
  end)

  it("goes on from the topic when state_dir is lost, and from its tail when it is there", function()
    fill(1, 2000)
    engine.run(definition())
    local _, records = restored()
    fill(2001, 3000)
    local again = engine.run(definition())
    assert.is_true(again:says("3 partitions are restored: 0 records"), again:stderr())
    fill(3001, 4000)
    local lost = engine.run(definition(nil, nil, folder .. "-lost"))
    judge(4000, true)
    local count = tonumber(lost:stderr():match("3 partitions are restored: (%d+) records"))
    assert.is_true(count >= KEYS and count > records, lost:stderr())
    local metrics = lost:report().metrics
    assert.equal(count, metrics["state.restored"])
    assert.is_true(metrics["state.restore.time"].count >= 1 and metrics["state.restore.time"].max > 0)
  end)

  it("reads the whole topic when state_dir is so old that the topic may have forgotten what was deleted", function()
    fill(1, 2000)
    engine.run(definition())
    fill(2001, 3000)
    local run = engine.run(definition(), { env = { TIDE_FAULTS = "changelog.old=1:bug" },
      program = faults.folder .. "/tidemill" })
    judge(3000, true)
    assert.is_true(run:says("values may be deleted that the topic does not tell of any more; all of it is read"))
    assert.is_true(tonumber(run:stderr():match("3 partitions are restored: (%d+) records")) >= KEYS, run:stderr())
  end)

  -- Of one instance, so that its transactions and its session end at once with the next one.
  local function member(more, name, env, dir)
    local all = { source = { instance = name or "one" } }
    for key, value in pairs(more or {}) do all[key] = value end
    return engine.start(definition(all, SLOW, dir), { env = env, program = env and faults.folder .. "/tidemill" })
  end

  local function feed_until_killed(run)
    kafka_state.feed_until_killed(run, function() fill(filled + 1, filled + 2000) end)
  end

  it("restores all of it when the machine has ended while it was not synced", function()
    fill(1, 3000)
    -- A store that is new commits five times before the first message.
    feed_until_killed(member(nil, nil, { TIDE_FAULTS = "store.committed=8:kill9" }))
    local file = assert(io.open(folder .. "/unsynced", "r+"))
    file:write("another")
    file:close()
    local again = engine.run(definition { source = { instance = "one" } })
    assert.is_true(again:says("the machine has ended before it was synced; all of its state is restored"))
    assert.is_true(tonumber(again:stderr():match("3 partitions are restored: (%d+) records")) > 0, again:stderr())
    judge(filled)
    assert.is_nil(io.open(folder .. "/unsynced"))
  end)

  local function finish(run)
    inputs.wait_committed(t.group, t.input)
    run:drain()
  end

  for name, mode in pairs { at_least_once = function() return {} end, exactly_once = exactly_once } do
    local once = name == "exactly_once"

    it(name .. " counts exactly through kill -9 of the engine, at each moment of a commit", function()
      fill(1, 20000)
      local hits = { "changelog.sent=300:kill9", "store.begin=8:kill9", "store.commit=8:kill9",
        "store.committed=8:kill9", "changelog.sent=1:kill9", "changelog.portion=1:bug,store.commit=700:kill9" }
      for _, fault in ipairs(hits) do feed_until_killed(member(mode(), nil, { TIDE_FAULTS = fault })) end
      finish(member(mode()))
      judge(filled, once)
    end)

    it(name .. " counts exactly when state_dir is lost with the engine, and in the midst of a restore", function()
      fill(1, 20000)
      for round = 1, 3 do
        feed_until_killed(member(mode(), nil, { TIDE_FAULTS = "changelog.sent=700:kill9" }, folder .. "-" .. round))
        local hit = ({ "restore.full=1:bug,restore.portion=90:kill9", "changelog.portion=1:bug,store.commit=5:kill9",
          "changelog.portion=1:bug,store.commit=90:kill9" })[round]
        feed_until_killed(member(mode(), nil, { TIDE_FAULTS = hit }, folder .. "-again" .. round))
      end
      finish(member(mode(), nil, nil, folder .. "-again3"))
      judge(filled, once)
    end)

    it(name .. " counts exactly while workers die", function()
      fill(1, 6000)
      local run = member(mode())
      for _ = 1, 5 do
        process.kill(run:workers(2)[1], "KILL")
        local so_far = inputs.count(t.output)
        wait.until_true(function() return inputs.count(t.output) > so_far + 200 or inputs.count(t.output) >= 6000 end,
          "output")
      end
      finish(run)
      judge(6000, once)
    end)

    it(name .. " counts exactly while engines join, leave and die", function()
      fill(1, 30000)
      local stays = member(mode(), "stays", nil, folder .. "-stays")
      stays:wait_for("partitions are restored")
      for round = 1, 4 do
        local other = member(mode(), "other", nil, folder .. "-other")
        other:wait_for("partitions are restored")
        local so_far = inputs.count(t.output)
        wait.until_true(function()
          return inputs.count(t.output) > so_far + 500 or inputs.count(t.output) >= 30000
        end, "output")
        if round % 2 == 1 then
          other:signal("KILL")
          other.process:wait()
        else
          other:drain()
        end
      end
      finish(stays)
      judge(30000, once)
    end)
  end

  it("reads a deleted value as nil after a restore, and keeps the longest value and any key", function()
    local long = ("x"):rep(2 ^ 20)
    kafka.produce(t.input, { { key = "a", value = "set" }, { key = "", value = "set" }, { key = "a", value = "delete" },
      { key = "b\0c", value = "long" } })
    local body = [[if message.value == "delete" then state.value = nil return nil end
    if message.value == "long" then state.value = ("x"):rep(2 ^ 20) return nil end
    if message.value == "show" then return tostring(#tostring(state.value)) .. tostring(state.value):sub(1, 5) end
    state.value = message.value
    if true then return nil end]]
    local steps = ('tide.keyed { function(message, state) %s end, state = "%s" },\ntide.produce { topic = "%s" }')
      :format(body, state, t.output)
    engine.run(definition { steps = steps })
    local values = restored()
    assert.is_nil(values.a)
    assert.equal("string 0 ", values["b\0c"]:sub(1, 9))
    assert.equal(long, values["b\0c"]:match("\n(.*)"))
    kafka.produce(t.input, { { key = "a", value = "show" }, { key = "", value = "show" },
      { key = "b\0c", value = "show" } })
    engine.run(definition({ steps = steps }, nil, folder .. "-2"))
    local shown = {}
    for _, message in ipairs(kafka.consume(t.output)) do shown[#shown + 1] = message.value end
    table.sort(shown)
    assert.same({ "1048576xxxxx", "3nil", "3set" }, shown)
  end)

  it("is refused with exit 78 where the topic is another than it must be", function()
    local function refused(partitions, config, words)
      state = kafka_state.name()
      kafka.topic(partitions, config, changelog())
      local run = engine.run(definition(), { code = 78 })
      local text = ('topic "%s" %s'):format(changelog(), words)
      assert.is_true(run:says(text), run:stderr())
      local code, _, err = engine.verb("check", definition(), { args = { "--connect" } })
      assert.equal(78, code, err)
      assert.truthy(err:find(text, 1, true), err)
    end
    local large = { ["cleanup.policy"] = "compact", ["max.message.bytes"] = "2000000" }
    refused(2, large, ('has 2 partitions, and the input "%s" has 3'):format(t.input))
    refused(3, {}, "has cleanup.policy=delete, by which values of the state would be lost; set it to compact")
    refused(3, { ["cleanup.policy"] = "compact,delete" }, "has cleanup.policy=compact,delete")
    refused(3, { ["cleanup.policy"] = "compact", ["max.message.bytes"] = "1048588" },
      "has max.message.bytes=1048588, and a value of the state may be longer; set it to 1114112")
    refused(3, { ["cleanup.policy"] = "compact", ["max.message.bytes"] = "2000000",
      ["delete.retention.ms"] = "3600000" },
      "has delete.retention.ms=3600000, and a state_dir that is older would keep values that were deleted")
    state = kafka_state.name()
    local function check()
      local code, _, err = engine.verb("check", definition(), { args = { "--connect" } })
      assert.equal(0, code, err)
    end
    check()
    kafka.topic(3, large, changelog()) -- check has not made it
    check()
    assert.equal(0, engine.run(definition()).code)
  end)

  it("is refused with exit 65 where the topic has lost what state_dir has, or has records of somebody else", function()
    fill(1, 300)
    engine.run(definition())
    kafka.delete_topic(changelog())
    local run = engine.run(definition(), { code = 65 })
    assert.is_truthy(run:stderr():find("does not have the offset %d+, up to which state_dir has it"), run:stderr())
    kafka.produce(changelog(), { { key = "k", value = "what?" } })
    run = engine.run(definition(nil, nil, folder .. "-2"), { code = 65 })
    assert.is_true(run:says("no record of a changelog"), run:stderr())
  end)

  it("sets a damaged state_dir aside, and restores it from the topic", function()
    fill(1, 2000)
    engine.run(definition())
    local path = folder .. "/data.mdb"
    local text = files.read(path)
    local at = assert(text:find("k321", 1, true)) -- in what is in use, and in what was before: all are overwritten
    local file = assert(io.open(path, "r+b"))
    while at do
      file:seek("set", at)
      file:write("!")
      at = text:find("k321", at + 1, true)
    end
    file:close()
    fill(2001, 3000)
    local run = engine.run(definition())
    judge(3000)
    assert.is_true(run:says("is damaged (") and run:says("it is set aside as data.mdb.damaged"), run:stderr())
    assert.equal(#text, #files.read(path .. ".damaged"))
    assert.is_true(tonumber(run:stderr():match("3 partitions are restored: (%d+) records")) >= KEYS, run:stderr())
  end)

  it("warns when offsets of the group were set back, and says what counts twice", function()
    fill(1, 300)
    engine.run(definition())
    kafka.commit(t.group, t.input, { [0] = 0 })
    local run = engine.run(definition())
    assert.is_true(run:says("partition 0 is read from offset 0, and its state stands for the messages up to"),
      run:stderr())
  end)

  it("forgets what an aborted transaction has counted: a record that the output refuses aborts it", function()
    t.output = kafka.topic(1, { ["max.message.bytes"] = 2000 })
    fill(1, 3000)
    local body = [[if tonumber(message.value) % 1000 == 500 then
      return message.value .. " " .. state.value .. (" "):rep(5000)
    end]]
    local run = engine.run(definition(exactly_once { dlq = { topic = t.letters } }, body))
    assert.is_true(run:says("the transaction was aborted"), run:stderr())
    local expected = {}
    for i = 500, 2500, 1000 do expected[#expected + 1] = ("%d %d"):format(i, math.ceil(i / KEYS)) end
    local refused = {}
    for i, letter in ipairs(kafka.consume(t.letters)) do refused[i] = letter.value:match("^%d+ %d+") end
    table.sort(refused)
    table.sort(expected)
    assert.same(expected, refused)
    judge(2997, true)
    local values = restored() -- read_committed
    for i = 0, KEYS - 1 do
      local count = math.floor(3000 / KEYS) + (i > 0 and i <= 3000 % KEYS and 1 or 0)
      assert.equal(tostring(count), values["k" .. i]:match("\n(.*)$"), "k" .. i)
    end
  end)

  it("stops with exit 65 when a record of somebody else is met while it runs, and nothing is counted by it", function()
    fill(1, 1000)
    local stays = member({}, "stays", nil, folder .. "-stays")
    inputs.wait_committed(t.group, t.input) -- then `stays` writes nothing more behind the records of somebody else
    for partition = 0, PARTITIONS - 1 do
      kafka.produce(changelog(), { { key = "k1", value = "number 0 what?\n7", partition = partition } })
    end
    local other = member({}, "other", nil, folder .. "-other")
    assert.equal(65, other.process:wait(60), other:stderr())
    assert.is_true(other:says("no record of a changelog"), other:stderr())
    assert.equal(65, stays.process:wait(60), stays:stderr()) -- it has got the partitions back
    assert.is_true(stays:says("no record of a changelog"), stays:stderr())
    judge(1000, true)
  end)
end)
