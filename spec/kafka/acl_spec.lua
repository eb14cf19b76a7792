-- SPDX-License-Identifier: MIT
-- Permissions, on a broker of its own that has an authorizer.
local engine = require "spec.support.engine"
local files = require "spec.house.files"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local UNSANITIZED = { LD_PRELOAD = false } -- a sanitizer is not for Java

local LISTENERS = "listeners=PLAINTEXT://127.0.0.1:@BROKER@,CONTROLLER://127.0.0.1:@CONTROLLER@,"
  .. "SASL://127.0.0.1:@FREE1@"
local LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="alices";'

describe("a broker with an authorizer", function()
  if not kafka.bootstrap() then return pending("needs a Kafka") end

  local folder, sasl, input, output, letters

  setup(function()
    folder = assert(io.popen("mktemp -d")):read("*l")
    local code, bootstrap, err = process.run({ "scripts/dev/kafka.sh", "start", folder, LISTENERS,
      "advertised." .. LISTENERS:gsub("CONTROLLER:[^,]*,", ""),
      "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT",
      "listener.name.sasl.sasl.enabled.mechanisms=PLAIN", "listener.name.sasl.plain.sasl.jaas.config=" .. LOGIN,
      "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS" },
      { timeout = 90, env = UNSANITIZED })
    assert(code == 0, err)
    kafka.use((bootstrap:gsub("%s", "")))
    sasl = files.read(folder .. "/server.properties"):match("SASL://([%d.:]+)")
    kafka.allow("alice", "group", "*", "read")
  end)

  teardown(function()
    kafka.use(nil)
    process.run({ "scripts/dev/kafka.sh", "kill", folder }, { env = UNSANITIZED })
    os.execute("rm -rf " .. folder)
  end)

  before_each(function()
    input, output, letters = kafka.topic(1), kafka.topic(1), kafka.topic(1)
    kafka.allow("alice", "topic", input, "read")
    kafka.allow("alice", "topic", output, "write")
    kafka.produce(input, { { value = "good" }, { value = "bad" } })
  end)
  after_each(engine.stop_all)

  local group

  local function definition(dlq)
    group = kafka.group()
    dlq.topic = letters
    return { source = { brokers = sasl, topic = input, group = group, start = "earliest",
      rdkafka = { ["security.protocol"] = "SASL_PLAINTEXT", ["sasl.mechanism"] = "PLAIN", ["sasl.username"] = "alice",
        ["sasl.password"] = "alices" } }, produce = { topic = output }, dlq = dlq,
      commit = { policy = { min_time = "50ms" } },
      task = "function(m) if m.value:find('bad') then error('no good') end return m end" }
  end

  it("that hides the dlq's topic ends the start with 78, before anything is consumed", function()
    local run = engine.run(definition {}, { code = 78 })
    assert.is_true(run:says(letters) and run:says("authorization failed"), run:stderr())
    assert.same({}, kafka.committed(group, input))
    assert.equal(0, #kafka.consume(output))
  end)

  it("that lets the dlq's topic only be seen is told at the first letter, which waits for the permission", function()
    kafka.allow("alice", "topic", letters, "describe")
    local run = engine.start(definition {})
    run:wait_for('0/1: the dlq "' .. letters .. '" did not take its dead letter: ')
    assert.is_true(run:says("authorization failed"), run:stderr())
    wait.until_true(function() return kafka.committed(group, input)[0] == 1 end, 20, "what is before it")
    kafka.allow("alice", "topic", letters, "write")
    assert.equal("bad", kafka.consume(letters, { n = 1, timeout = 40 })[1].value)
    wait.until_true(function() return kafka.committed(group, input)[0] == 2 end, 20, "the letter's commit")
    run:drain()
  end)

  it("that lets the dlq's topic only be seen stops the pipeline if told so: 75, the offset stays", function()
    kafka.allow("alice", "topic", letters, "describe")
    local run = engine.run(definition { on_failure = "stop" }, { code = 75 })
    assert.is_true(run:says("authorization failed"), run:stderr())
    assert.same({ [0] = 1 }, kafka.committed(group, input))
  end)
end)
