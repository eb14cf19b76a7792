-- SPDX-License-Identifier: MIT
-- Two topics that are read into one state on a real Kafka: each message of either counts once, whatever dies, and the
-- same partitions of both always belong to one engine.
local cjson = require "cjson"
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local kafka_state = require "spec.support.kafka_state"
local wait = require "spec.support.wait"

local PARTITIONS, KEYS = 3, 97

kafka.describe("two topics in one state", { input = { PARTITIONS }, output = { 1 } }, function(t)
  local state, folder, other, filled

  kafka_state.each(function(name, path) state, folder, filled = name, path, 0 end)
  before_each(function() other = kafka.topic(PARTITIONS) end)

  -- Each output says of which message it is, and how many messages of its key and of each topic its state has by then.
  local FUNCTION = [[function(message, state)
    local x = 0
    for i = 1, 20000 do x = x + i %% 7 end
    local both = state.value or { a = 0, b = 0 }
    local which = message.topic == "%s" and "a" or "b"
    both[which] = both[which] + 1
    state.value = both
    return ("%%s %%s %%d %%d"):format(which, message.value, both.a, both.b)
  end]]

  local function definition(more)
    local given = {
      commit = { policy = { min_time = "50ms" } },
      source = { topics = { t.input, other },
        rdkafka = { ["session.timeout.ms"] = 6000, ["heartbeat.interval.ms"] = 300 } },
      steps = ('tide.keyed { %s, state = "%s", processes = 3, max_batch_size = 20 },\ntide.produce { topic = "%s" }')
        :format(FUNCTION:format(t.input), state, t.output),
      settings = { state_dir = folder },
    }
    for name, value in pairs(more or {}) do
      for key, item in pairs(value) do given[name][key] = item end
    end
    return t:definition(given)
  end

  local function member(delivery, name, fault, dir)
    return engine.start(definition { source = { instance = name },
      settings = { delivery = delivery, state_dir = dir or folder } },
      { env = { TIDE_FAULTS = fault or "" }, program = faults.folder .. "/tidemill" })
  end

  -- So many more messages of each key, in both topics.
  local function fill(each)
    for _, topic in ipairs { t.input, other } do
      local messages = {}
      for i = filled + 1, filled + each * KEYS do
        messages[#messages + 1] = { key = "k" .. i % KEYS, value = tostring(i) }
      end
      kafka.produce(topic, messages)
    end
    filled = filled + each * KEYS
  end

  local function finish(run)
    inputs.wait_committed(t.group, t.input)
    inputs.wait_committed(t.group, other)
    run:drain()
  end

  -- Each key has all of its messages of both topics. once: its outputs have counted 1, 2, 3 ... to that.
  local function judge(once)
    local each, values = filled / KEYS, {}
    for _, record in ipairs(kafka.consume("spec." .. state .. ".changelog")) do values[record.key] = record.value end
    for i = 0, KEYS - 1 do
      local both = cjson.decode(values["k" .. i]:match("\n(.*)$"))
      assert.same({ each, each }, { both.a, both.b }, "k" .. i)
    end
    local seen, sums, total = {}, {}, 0
    for _, message in ipairs(kafka.consume(t.output)) do
      local which, number, a, b = message.value:match("^(%a) (%d+) (%d+) (%d+)$")
      local id, sum = which .. number, ("%d %d"):format(number % KEYS, a + b)
      assert.is_falsy(once and (seen[id] or sums[sum]), message.value)
      total = total + (seen[id] and 0 or 1)
      seen[id], sums[sum] = true, true
    end
    assert.equal(2 * filled, total)
  end

  for _, delivery in ipairs { "at_least_once", "exactly_once" } do
    it(delivery .. " counts each message once through kill -9 in a commit, and without state_dir", function()
      fill(100)
      -- What a store writes before the first message is the first few hits of it.
      for number, fault in ipairs { "changelog.sent=150:kill9", "store.begin=8:kill9", "store.committed=8:kill9",
        "changelog.sent=150:kill9", "restore.portion=1:kill9" } do
        local run = member(delivery, "one", fault, number > 3 and folder .. number)
        kafka_state.feed_until_killed(run, function() fill(20) end)
      end
      finish(member(delivery, "one", nil, folder .. "-last"))
      judge(delivery == "exactly_once")
    end)

    it(delivery .. " counts each message once while engines join, leave and die", function()
      fill(80)
      local stays = member(delivery, "stays", nil, folder .. "-stays")
      stays:wait_for("partitions are restored")
      for round = 1, 2 do
        local guest = member(delivery, "guest", nil, folder .. "-guest")
        guest:wait_for("partitions are restored")
        local so_far = inputs.count(t.output)
        wait.until_true(function()
          return inputs.count(t.output) > so_far + 300 or inputs.count(t.output) >= 2 * filled
        end, "output")
        if round == 2 then
          guest:drain()
        else
          guest:signal("KILL")
          guest.process:wait()
        end
      end
      finish(stays)
      judge(delivery == "exactly_once")
    end)
  end

  it("restores a partition once for both, and goes on with the tail when nothing is lost", function()
    fill(10)
    engine.run(definition())
    fill(10)
    local again = engine.run(definition())
    assert.is_true(again:says("3 partitions are restored: 0 records"), again:stderr())
    fill(10)
    local lost = engine.run(definition { settings = { state_dir = folder .. "-lost" } })
    assert.is_true(tonumber(lost:stderr():match("3 partitions are restored: (%d+) records")) >= KEYS, lost:stderr())
    judge(false)
  end)

  it("is refused with exit 78 when the topics have different numbers of partitions, by check --connect too", function()
    other = kafka.topic(2)
    local words = ('topic "%s" has 3 partitions, topic "%s" has 2: a state of both needs as many of each'):format(
      t.input, other)
    local run = engine.run(definition(), { code = 78 })
    assert.is_true(run:says(words), run:stderr())
    local code, _, stderr = engine.verb("check", definition(), { args = { "--connect" } })
    assert.equal(78, code)
    assert.is_truthy(stderr:find(words, 1, true), stderr)
  end)

  it("ends with exit 78 when the group gives the partitions of the topics to different members", function()
    local alone = engine.start(t:definition { source = { rdkafka = { ["heartbeat.interval.ms"] = 300 } } })
    alone:wait_for("assigned")
    local run = engine.start(definition { source = { group = t.group } })
    assert.equal(78, run.process:wait(30), run:stderr())
    assert.is_truthy(run:stderr():find('the group has given partition %d of topic "[^"]+" to this engine, but not'),
      run:stderr())
    alone:drain()
  end)
end)
