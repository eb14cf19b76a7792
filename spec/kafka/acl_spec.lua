-- SPDX-License-Identifier: MIT
-- Permissions, on a broker of its own that has an authorizer.
local engine = require "spec.support.engine"
local files = require "spec.house.files"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local UNSANITIZED = { LD_PRELOAD = false } -- a sanitizer is not for Java

local LISTENERS = "listeners=PLAINTEXT://127.0.0.1:@BROKER@,CONTROLLER://127.0.0.1:@CONTROLLER@,"
  .. "SASL://127.0.0.1:@FREE1@"
local LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="alices";'

kafka.describe("a broker with an authorizer", function(t)
  local folder, sasl

  setup(function()
    folder = assert(io.popen("mktemp -d")):read("*l")
    local code, bootstrap, err = process.run({ "scripts/dev/kafka.sh", "start", folder, LISTENERS,
      "advertised." .. LISTENERS:gsub("CONTROLLER:[^,]*,", ""),
      "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT",
      "listener.name.sasl.sasl.enabled.mechanisms=PLAIN", "listener.name.sasl.plain.sasl.jaas.config=" .. LOGIN,
      "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS" },
      { timeout = 300, env = UNSANITIZED })
    assert(code == 0, err)
    kafka.use((bootstrap:gsub("%s", "")))
    sasl = files.read(folder .. "/server.properties"):match("SASL://([%d.:]+)")
    kafka.allow("alice", "group", "*", "read")
    local file = assert(io.open(folder .. "/password", "w"))
    file:write("alices\n")
    file:close()
    os.execute("chmod 600 " .. folder .. "/password")
  end)

  teardown(function()
    kafka.use(nil)
    process.run({ "scripts/dev/kafka.sh", "kill", folder }, { env = UNSANITIZED })
    os.execute("rm -rf " .. folder)
  end)

  before_each(function()
    t.input, t.output, t.letters = kafka.topic(1), kafka.topic(1), kafka.topic(1)
    kafka.allow("alice", "topic", t.input, "read")
    kafka.allow("alice", "topic", t.output, "write")
    kafka.produce(t.input, { { value = "good" }, { value = "bad" } })
  end)

  local function definition(dlq)
    t.group = kafka.group()
    dlq.topic = t.letters
    return { source = { brokers = sasl, topic = t.input, group = t.group, start = "earliest",
      rdkafka = { ["security.protocol"] = "SASL_PLAINTEXT", ["sasl.mechanism"] = "PLAIN", ["sasl.username"] = "alice",
        ["sasl.password"] = engine.code(("tide.secret_file %q"):format(folder .. "/password")) } },
      produce = { topic = t.output }, dlq = dlq,
      commit = { policy = { min_time = "50ms" } },
      task = "function(m) if m.value:find('bad') then error('no good') end return m end" }
  end

  it("a broker with an authorizer that hides the dlq's topic ends the start with 78, before anything is"
    .. " consumed", function()
    local run = engine.run(definition {}, { code = 78 })
    assert.is_true(run:says(t.letters) and run:says("authorization failed"), run:stderr())
    assert.same({}, kafka.committed(t.group, t.input))
    assert.equal(0, #kafka.consume(t.output))
  end)

  local function all_allowed()
    kafka.allow("alice", "topic", t.letters, "write")
  end

  for _, delivery in ipairs { "at_least_once", "exactly_once" } do
    it("a broker with an authorizer that lets the dlq's topic only be seen ends the start with 78,"
      .. " before anything is consumed, " .. delivery,
      function()
        kafka.allow("alice", "topic", t.letters, "describe")
        local made = definition {}
        made.settings = { delivery = delivery }
        local run = engine.run(made, { code = 78 })
        assert.is_true(run:says(('topic "%s" must not be written: '):format(t.letters)), run:stderr())
        assert.is_false(run:says "partitions assigned")
        assert.same({}, kafka.committed(t.group, t.input))
        assert.equal(0, inputs.count(t.output))
      end)
  end

  it("a broker with an authorizer that lets an output only be seen ends the start with 78 alike", function()
    all_allowed()
    t.output = kafka.topic(1)
    kafka.allow("alice", "topic", t.output, "describe")
    local run = engine.run(definition {}, { code = 78 })
    assert.is_true(run:says(('topic "%s" must not be written: '):format(t.output)), run:stderr())
  end)

  it("a broker with an authorizer is asked by check --connect too", function()
    kafka.allow("alice", "topic", t.letters, "describe")
    local code, _, err = engine.verb("check", definition {}, { args = { "--connect" } })
    assert.equal(78, code)
    assert.is_truthy(err:find(('topic "%s" must not be written: '):format(t.letters), 1, true), err)
    t.letters = kafka.topic(1)
    all_allowed()
    assert.equal(0, (engine.verb("check", definition {}, { args = { "--connect" } })))
  end)

  it("a broker with an authorizer is asked without a record that would stay", function()
    all_allowed()
    local run = engine.start(definition {})
    run:wait_for "partitions assigned"
    wait.until_true(function() return kafka.committed(t.group, t.input)[0] == 2 end, "both messages")
    run:drain()
    assert.equal(1, inputs.count(t.output))
    assert.equal(1, inputs.count(t.letters))
  end)

  -- Until a dead letter meets the new permissions: the broker takes them over some time after it has answered.
  local function forbidden(run)
    run:wait_for "partitions assigned"
    kafka.forbid("alice", "topic", t.letters, "write")
    kafka.allow("alice", "topic", t.letters, "describe")
    wait.until_true(function()
      kafka.produce(t.input, { { value = "bad" } })
      return run:says "did not take its dead letter: "
    end, function() return run:stderr() end)
  end

  it("a broker with an authorizer that takes the permission away is waited for", function()
    all_allowed()
    local run = engine.start(definition {})
    forbidden(run)
    assert.is_true(run:says "authorization failed", run:stderr())
    all_allowed()
    inputs.wait_committed(t.group, t.input)
    run:drain()
    assert.equal(inputs.count(t.input) - 1, inputs.count(t.letters))
  end)

  it("a broker with an authorizer that takes the permission away stops the pipeline if told so: 75, the"
    .. " offset stays", function()
    all_allowed()
    local run = engine.start(definition { on_failure = "stop" })
    forbidden(run)
    run:ends_with(75)
    assert.is_true(run:says "authorization failed", run:stderr())
    assert.equal(1 + inputs.count(t.letters), kafka.committed(t.group, t.input)[0])
  end)
end)
