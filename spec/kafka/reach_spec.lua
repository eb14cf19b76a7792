-- SPDX-License-Identifier: MIT
-- What run needs of the brokers is looked at before anything is read, and by check --connect alike: each broker that
-- will be needed, all topics, their settings.
local child = require "spec.support.child"
local engine = require "spec.support.engine"
local kafka = require "spec.support.kafka"
local mock_kafka = require "spec.support.mock_kafka"
local socket = require "socket"

-- All that is asked has this time together, so those that are reached need most of it on a busy machine.
local SOON = { broker_timeout = "10s" }

local function definition(input, output, more)
  local made = { source = { topic = input, group = kafka.group(), start = "earliest" }, produce = { topic = output } }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

-- By both verbs, at the same time: the exit code, and all of the texts on stderr.
local function both(made, code, ...)
  local run = engine.start(made)
  local checked, _, err = engine.verb("check", made, { args = { "--connect" } })
  run:ends_with(code)
  assert.equal(code, checked, err)
  for _, text in ipairs { ... } do
    assert.is_true(run:says(text), run:stderr())
    assert.is_truthy(err:find(text, 1, true), err)
  end
end

describe("a broker that is needed and not reached", function()
  local mock, input, output

  before_each(function()
    mock = mock_kafka.start(3)
    input, output = mock:topic(1), mock:topic(1)
    mock:tell("leader", input, 0, 1)
    mock:tell("leader", output, 0, 1)
  end)
  after_each(function()
    engine.stop_all()
    mock_kafka.stop_all()
  end)

  for _, which in ipairs { "input", "output" } do
    it("a broker that is needed and not reached is exit 69, by its address and what it leads: the"
      .. " leader of the " .. which, function()
      local topic = which == "input" and input or output
      mock:tell("leader", topic, 0, 2)
      mock:tell("down", 2)
      -- Like a real broker, a newer mock (TIDE_RDKAFKA) does not list those that are down.
      local address = os.getenv "TIDE_RDKAFKA" and "broker 2, which the other brokers do not list"
        or 'broker 2, which advertises "127.0.0.1:'
      both(definition(input, output, { settings = SOON }), 69, address,
        ('leads topic "%s" partition 0, not reached within 10 s'):format(topic))
    end)
  end

  it("a broker that is needed and not reached is exit 69, by its group: the coordinator", function()
    local made = definition(input, output, { settings = SOON })
    mock:tell("coordinator", made.source.group, 3)
    mock:tell("down", 3)
    both(made, 69, ('the coordinator of group "%s" not reached within 10 s'):format(made.source.group))
  end)

  it("a broker that is needed and not reached is exit 69, by its id: the coordinator of transactions", function()
    local settings = { broker_timeout = SOON.broker_timeout, delivery = "exactly_once" }
    local made = definition(input, output, { settings = settings })
    made.source.instance = "one"
    mock:tell("coordinator", made.source.group, 1)
    for _, name in ipairs { "one", "check" } do
      mock:tell("coordinator", ("spec.%s.%s"):format(made.source.group, name), 3, "transaction")
    end
    mock:tell("down", 3)
    both(made, 69, ('no transactions with id "spec.%s.'):format(made.source.group), "within 10 s")
  end)

  it("a broker that is needed and not reached is not one that nothing needs", function()
    local made = definition(input, output)
    mock:tell("coordinator", made.source.group, 1)
    mock:tell("down", 2)
    local code, out, err = engine.verb("check", made, { args = { "--connect" } })
    assert.equal(0, code, out .. err)
  end)
end)

describe("a broker that hangs up", function()
  after_each(function()
    engine.stop_all()
    child.stop_all()
  end)

  -- The first record is read whole, by the length in its head: a connection that is closed with something unread is
  -- reset, which is another error.
  local function hang_up_on(listener)
    while true do
      local one = listener:accept()
      local head = one:receive(5)
      if head then one:receive(head:byte(4) * 256 + head:byte(5)) end
      one:close()
    end
  end

  it("a broker that hangs up in the middle of a handshake, as one that starts again does, is waited for", function()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local address = ("127.0.0.1:%d"):format((select(2, listener:getsockname())))
    child.start(function() hang_up_on(listener) end)
    listener:close()
    local made = definition("input", "output", { settings = { broker_timeout = "2s" } })
    made.source.brokers, made.source.rdkafka = address, { ["security.protocol"] = "SSL" }
    both(made, 69, ('brokers "%s" not reached within 2 s: ssl://'):format(address))
  end)
end)

kafka.describe("before it reads", function()
  it("all topics that are missing are named", function()
    local made = definition("no-such-1", "no-such-3", { dlq = { topic = "no-such-4" } })
    made.source.topic, made.source.topics = nil, { "no-such-1", "no-such-2" }
    local code, _, err = engine.verb("check", made, { args = { "--connect" } })
    assert.equal(78, code, err)
    for i = 1, 4 do assert.is_truthy(err:find(('topic "no-such-%d" is not there'):format(i), 1, true), err) end
    local run = engine.run(made, { code = 78 })
    for i = 3, 4 do assert.is_true(run:says(('topic "no-such-%d" is not there'):format(i)), run:stderr()) end
  end)

  it("settings of topics that will surprise are told", function()
    local input = kafka.topic(1, { ["retention.ms"] = 60000 })
    local output = kafka.topic(1, { ["message.timestamp.type"] = "LogAppendTime", ["min.insync.replicas"] = 2 })
    local letters = kafka.topic(1, { ["cleanup.policy"] = "compact" })
    local made = definition(input, output, { dlq = { topic = letters } })
    local _, _, err = engine.verb("check", made, { args = { "--connect" } })
    local run = engine.run(made)
    for _, text in ipairs {
      ('topic "%s" has retention.ms=60000: what is not read within 1 minutes is lost'):format(input),
      ('topic "%s" has message.timestamp.type=LogAppendTime: '):format(output),
      ('topic "%s" has min.insync.replicas=2 and only 1 replicas: '):format(output),
      ('topic "%s" has cleanup.policy=compact: dead letters without key are refused'):format(letters),
    } do
      assert.is_true(run:says(text), run:stderr())
      assert.is_truthy(err:find(text, 1, true), err)
    end
  end)

  it("usual settings are not worth a word, with transactions too", function()
    for _, delivery in ipairs { "at_least_once", "exactly_once" } do
      local made = definition(kafka.topic(1), kafka.topic(1), { dlq = { topic = kafka.topic(1) },
        settings = { delivery = delivery } })
      local code, out, err = engine.verb("check", made, { args = { "--connect" } })
      assert.same({ 0, "" }, { code, err }, out)
    end
  end)

  it("a topic that is named twice is asked for once, and its settings are known", function()
    local input, output = kafka.topic(1), kafka.topic(1, { ["cleanup.policy"] = "compact",
      ["message.timestamp.type"] = "LogAppendTime" })
    kafka.produce(input, { { key = "k", value = "1" } })
    local made = definition(nil, output, { dlq = { topic = output } })
    made.source.topics = { input, input }
    made.produce.topics = { output, output }
    local _, _, err = engine.verb("check", made, { args = { "--connect" } })
    local run = engine.run(made)
    assert.equal(1, run:report().read)
    for _, text in ipairs { err, run:stderr() } do
      for _, warning in ipairs { "message.timestamp.type=LogAppendTime", "cleanup.policy=compact" } do
        local _, count = text:gsub(('topic "%s" has %s'):format(output, warning):gsub("%p", "%%%0"), "")
        assert.equal(1, count, text)
      end
      assert.is_nil(text:find("settings are not known", 1, true), text)
      assert.is_nil(text:find("PROTOERR", 1, true), text)
    end
  end)

  it("a topic that is missing is named once, though it takes results and dead letters", function()
    local made = definition(kafka.topic(1), "no-such-5", { dlq = { topic = "no-such-5" } })
    local _, _, err = engine.verb("check", made, { args = { "--connect" } })
    local run = engine.run(made, { code = 78 })
    for _, text in ipairs { err, run:stderr() } do
      local _, count = text:gsub('topic "no%-such%-5" is not there', "")
      assert.equal(1, count, text)
    end
  end)

  it('partition = "same" needs as many partitions in the output', function()
    local input, output = kafka.topic(3), kafka.topic(2)
    local made = definition(input, output)
    made.produce.partition = "same"
    both(made, 78, ('partition = "same": topic "%s" has 3 partitions, the output "%s" only 2'):format(input, output))
    made.produce.topic = kafka.topic(3)
    local code, out, err = engine.verb("check", made, { args = { "--connect" } })
    assert.equal(0, code, out .. err)
  end)

  it("a pattern and an output on the same cluster under another name do not go together", function()
    local input = kafka.topic(1)
    local clean = kafka.topic(1, nil, input .. ".clean")
    local elsewhere = kafka.bootstrap():gsub("^127%.0%.0%.1:", "localhost:")
    assert.not_equal(elsewhere, kafka.bootstrap())
    local made = definition(nil, clean)
    made.source.pattern, made.produce.brokers = "^" .. input, elsewhere
    kafka.produce(input, { { value = "1" } })
    both(made, 78, ('a pattern of kafka_source finds topic "%s", which this pipeline writes to'):format(clean))
    assert.equal(0, (kafka.ends(clean))[0])
    made.source.pattern = "^" .. input .. "$"
    engine.run(made)
    assert.equal(1, (kafka.ends(clean))[0])
  end)
end)
