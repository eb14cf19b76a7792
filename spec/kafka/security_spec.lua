-- SPDX-License-Identifier: MIT
-- SASL and TLS, on a broker of its own that asks for them.
local engine = require "spec.support.engine"
local files = require "spec.house.files"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PASSWORD = "alice-secret-5c1d"

local UNSANITIZED = { LD_PRELOAD = false } -- a sanitizer is not for Java

local LISTENERS = "listeners=PLAINTEXT://127.0.0.1:@BROKER@,CONTROLLER://127.0.0.1:@CONTROLLER@,"
  .. "SASL://127.0.0.1:@FREE1@,TLS://127.0.0.1:@FREE2@"
local LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="' .. PASSWORD .. '";'

-- A certificate that signs itself, with its key, for both sides.
local CERTIFICATE = { "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tidemill",
  "-addext", "subjectAltName=IP:127.0.0.1" }

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

kafka.describe("a broker that asks who one is", { partitions = 2 }, function(t)
  local folder, sasl, tls

  setup(function()
    folder = assert(io.popen("mktemp -d")):read("*l")
    local arguments = { unpack(CERTIFICATE) }
    for _, word in ipairs { "-keyout", folder .. "/key.pem", "-out", folder .. "/cert.pem" } do
      arguments[#arguments + 1] = word
    end
    assert(process.run(arguments, { env = UNSANITIZED }) == 0, "openssl")
    write(folder .. "/both.pem", files.read(folder .. "/key.pem") .. files.read(folder .. "/cert.pem"))
    local code, bootstrap, err = process.run({ "scripts/dev/kafka.sh", "start", folder, LISTENERS,
      "advertised." .. LISTENERS:gsub("CONTROLLER:[^,]*,", ""),
      "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL",
      "listener.name.sasl.sasl.enabled.mechanisms=PLAIN", "listener.name.sasl.plain.sasl.jaas.config=" .. LOGIN,
      "listener.name.tls.ssl.keystore.type=PEM", "listener.name.tls.ssl.keystore.location=@DIR@/both.pem",
      "listener.name.tls.ssl.truststore.type=PEM", "listener.name.tls.ssl.truststore.location=@DIR@/cert.pem",
      "listener.name.tls.ssl.client.auth=required" }, { timeout = 90, env = UNSANITIZED })
    assert(code == 0, err)
    kafka.use((bootstrap:gsub("%s", "")))
    local properties = files.read(folder .. "/server.properties")
    sasl, tls = properties:match("SASL://([%d.:]+),TLS://([%d.:]+)")
  end)

  teardown(function()
    kafka.use(nil)
    process.run({ "scripts/dev/kafka.sh", "stop", folder }, { env = UNSANITIZED })
    os.execute("rm -rf " .. folder)
  end)

  local function definition(brokers, properties)
    return { source = { brokers = brokers, topic = t.input, group = kafka.group(), start = "earliest",
      rdkafka = properties }, produce = { topic = t.output }, settings = { broker_timeout = "20s" } }
  end

  local function login(password)
    return { ["security.protocol"] = "SASL_PLAINTEXT", ["sasl.mechanism"] = "PLAIN", ["sasl.username"] = "alice",
      ["sasl.password"] = engine.code(password) }
  end

  local function certificate(changes)
    local properties = { ["security.protocol"] = "SSL", ["ssl.ca.location"] = folder .. "/cert.pem",
      ["ssl.certificate.location"] = folder .. "/cert.pem", ["ssl.key.location"] = folder .. "/key.pem" }
    for name, value in pairs(changes or {}) do properties[name] = value or nil end
    return properties
  end

  local function goes_through(defined, env)
    kafka.produce(t.input, inputs.numbers(1, 1000))
    local run = engine.run(defined, { env = env })
    inputs.once(t.output, 1000)
    local code, _, err = engine.verb("check", defined, { args = { "--connect" }, env = env })
    assert.equal(0, code, err)
    local report = files.read(run.report_path)
    assert.is_nil((run:stderr() .. run.process:stdout() .. report):find(PASSWORD, 1, true), run:stderr())
  end

  it("a broker that authenticates by a password from a file lets both sides in", function()
    local path = write(pipeline_file.folder() .. "/password", PASSWORD .. "\n")
    goes_through(definition(sasl, login(("tide.secret_file %q"):format(path))))
  end)

  it("a broker that authenticates by a password from the environment lets both sides in", function()
    goes_through(definition(sasl, login 'tide.env "TIDE_SPEC_PASSWORD"'), { TIDE_SPEC_PASSWORD = PASSWORD })
  end)

  it("a broker that authenticates by certificates lets both sides in", function()
    goes_through(definition(tls, certificate()))
  end)

  local function is_refused(defined, words)
    local from = wait.now()
    local run = engine.run(defined, { code = 78 })
    assert.is_true(wait.now() - from < 20, "it waited for broker_timeout")
    for _, word in ipairs(words) do assert.is_true(run:says(word), run:stderr()) end
    local code, out, err = engine.verb("check", defined, { args = { "--connect" } })
    assert.same({ 78, "" }, { code, out }, err)
    assert.is_nil((run:stderr() .. err):find("wrong-password", 1, true))
  end

  it("a broker that authenticates is told a wrong password: exit 78 at once, naming broker and cause", function()
    is_refused(definition(sasl, login '"wrong-password"'), { sasl, "Invalid username or password" })
  end)

  it("a broker that authenticates has a certificate that nobody vouches for: exit 78 at once, naming"
    .. " broker and cause", function()
    is_refused(definition(tls, certificate { ["ssl.ca.location"] = false }), { tls, "certificate verify failed" })
  end)

  it("a broker that authenticates is not asked in the way it wants: exit 69, naming the broker", function()
    local plain = definition(sasl)
    plain.settings.broker_timeout = "1s"
    local run = engine.run(plain, { code = 69 })
    assert.is_true(run:says(sasl), run:stderr())
  end)
end)
