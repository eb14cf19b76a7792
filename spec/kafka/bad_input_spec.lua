-- SPDX-License-Identifier: MIT
-- What is wrong before the first message: topics, brokers, secrets.
local engine = require "spec.support.engine"
local files = require "spec.house.files"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local pipeline_file = require "spec.support.pipeline_file"

kafka.describe("bad input", function(t)
  local topics

  local function definition(source)
    return t:definition({ source = { topic = topics.source }, dlq = { topic = topics.dlq },
      produce = { topic = topics.output, topics = { topics.further } } }, { source = source })
  end

  before_each(function()
    topics = {}
    for _, name in ipairs { "source", "output", "further", "dlq" } do topics[name] = kafka.topic(1) end
  end)

  for _, which in ipairs { "source", "output", "further", "dlq" } do
    it("bad input is exit 78 when the topic of the " .. which .. " is missing; nothing is read", function()
      kafka.produce(topics.source, { { value = "1" } })
      local source = topics.source
      topics[which] = "missing-" .. which
      local run = engine.run(definition(), { code = 78 })
      assert.is_true(run:says("missing-" .. which) and run:says(kafka.bootstrap()), run:stderr())
      local code, out, err = engine.verb("check", definition(), { args = { "--connect" } })
      assert.same({ 78, "" }, { code, out })
      assert.is_truthy(err:find("missing-" .. which, 1, true), err)
      assert.same({}, kafka.committed(t.group, source))
      if which ~= "output" then assert.equal(0, inputs.count(topics.output)) end
    end)
  end

  it("bad input is exit 69 when no broker answers within broker_timeout, naming them", function()
    local closed = definition { brokers = "127.0.0.1:1,127.0.0.1:2" }
    closed.settings = { broker_timeout = "1s" }
    local run = engine.run(closed, { code = 69 })
    assert.is_true(run:says("127.0.0.1:1,127.0.0.1:2") and run:says("within 1 s"), run:stderr())
    local code, out, err = engine.verb("check", closed, { args = { "--connect" } })
    assert.same({ 69, "" }, { code, out })
    assert.is_truthy(err:find("127.0.0.1:1", 1, true), err)
  end)

  it("bad input is exit 69 when only the output's brokers do not answer; nothing is read", function()
    kafka.produce(topics.source, { { value = "1" } })
    local half = definition()
    half.produce, half.settings = { topic = "x", brokers = "127.0.0.1:1" }, { broker_timeout = "1s" }
    local run = engine.run(half, { code = 69 })
    assert.is_true(run:says("127.0.0.1:1"), run:stderr())
    assert.same({}, kafka.committed(t.group, topics.source))
  end)

  it("bad input stops at SIGTERM while the brokers are still looked for", function()
    for _, brokers in ipairs { "127.0.0.1:1", kafka.bootstrap() } do -- of the output
      local looking = definition { brokers = "127.0.0.1:1" }
      looking.produce.brokers = brokers
      local run = engine.start(looking)
      run:wait_for("Connection refused")
      run:signal("TERM")
      run:ends_with(0) -- 69 once broker_timeout has passed
    end
  end)

  it("bad input never shows a secret, however much is logged", function()
    local folder = pipeline_file.folder()
    local file = assert(io.open(folder .. "/secret", "w"))
    file:write("from-a-file-7f3a\n")
    file:close()
    for _, secret in ipairs { { 'tide.env "TIDE_SPEC_SECRET"', "from-the-environment-91c2" },
      { ("tide.secret_file %q"):format(folder .. "/secret"), "from-a-file-7f3a" } } do
      local hidden = definition { brokers = "127.0.0.1:1", rdkafka = { ["security.protocol"] = "SASL_PLAINTEXT",
        ["sasl.mechanism"] = "PLAIN", ["sasl.username"] = "user", ["sasl.password"] = engine.code(secret[1]),
        debug = "broker,protocol,feature,metadata" } }
      hidden.settings = { broker_timeout = "300ms" }
      local env = { TIDE_SPEC_SECRET = "from-the-environment-91c2" }
      local run = engine.start(hidden, { args = { "--log-level", "debug" }, env = env })
      run:ends_with(69)
      local report = io.open(run.report_path) and files.read(run.report_path) or ""
      local texts = { run:stderr(), run.process:stdout(), report }
      for _, arguments in ipairs { { "plan" }, { "plan", "--format", "dot" }, { "check" }, { "check", "--connect" } } do
        local _, out, err = engine.verb(arguments[1], hidden, { args = { unpack(arguments, 2) }, env = env })
        texts[#texts + 1] = out .. err
      end
      for _, text in ipairs(texts) do assert.is_nil(text:find(secret[2], 1, true), text) end
      assert.is_truthy(texts[4]:find("redacted", 1, true), texts[4])
    end
  end)

  it("bad input is exit 65 at a record whose bytes have changed on the broker's disk; nothing goes on"
    .. " behind it", function()
    for _, value in ipairs { "first", "second", "third" } do kafka.produce(topics.source, { { value = value } }) end
    local path = ("%s/data/%s-0/00000000000000000000.log"):format(os.getenv "TIDE_KAFKA_DIR", topics.source)
    local log = assert(io.open(path, "r+b"))
    log:seek("set", assert(log:read("*a"):find("second", 1, true)) - 1)
    log:write("sEcond")
    log:close()
    local run = engine.run(definition(), { code = 65 })
    assert.is_true(run:says(('topic "%s" partition 0 offset 1: '):format(topics.source)), run:stderr())
    assert.is_true(inputs.count(topics.output) <= 1)
    assert.is_true((kafka.committed(t.group, topics.source)[0] or 0) <= 1)
  end)

  it("bad input is exit 65 at a message that receive.message.max.bytes keeps out, by topic, partition"
    .. " and offset", function()
    kafka.produce(topics.source, { { value = "1" }, { value = ("x"):rep(300000) }, { value = "3" } })
    local small = definition { rdkafka = { ["receive.message.max.bytes"] = 100000, ["fetch.max.bytes"] = 50000,
      ["message.max.bytes"] = 50000, ["fetch.message.max.bytes"] = 1000 } }
    kafka.commit(t.group, topics.source, { [0] = 1 })
    local run = engine.run(small, { code = 65 })
    assert.is_true(run:says(('topic "%s" partition 0 offset 1: a message is larger than rdkafka = { '
      .. '["receive.message.max.bytes"] } allows; raise it'):format(topics.source)), run:stderr())
    assert.same({ [0] = 1 }, kafka.committed(t.group, topics.source))
    engine.run(definition())
    assert.same({ [0] = 3 }, kafka.committed(t.group, topics.source))
  end)

  it("bad input is exit 78 when a secret is not there, naming where it was looked for", function()
    local hidden = definition { rdkafka = { ["sasl.password"] = engine.code 'tide.secret_file "/no/such/secret"' } }
    local run = engine.run(hidden, { code = 78 })
    assert.is_true(run:says("/no/such/secret"), run:stderr())
  end)

  it("bad input is exit 78 when librdkafka does not know a property, or it would break a promise", function()
    for _, name in ipairs { "no.such.property", "enable.auto.commit", "plugin.library.paths", "debug" } do
      local run = engine.run(definition { rdkafka = { [name] = name == "debug" and "all" or "true" } }, { code = 78 })
      assert.is_true(run:says(name) and run:says("p.lua:"), run:stderr())
    end
  end)
end)
