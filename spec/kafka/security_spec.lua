-- SPDX-License-Identifier: MIT
-- SASL and TLS, on a broker of its own that asks for them.
local ffi = require "ffi"
local C = require("tidemill.run.ffi").C
local certificates = require "spec.support.certificates"
local engine = require "spec.support.engine"
local files = require "spec.house.files"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PASSWORD = "alice-secret-5c1d"

local UNSANITIZED = { LD_PRELOAD = false } -- a sanitizer is not for Java

-- SASL asks for a password or a token over TLS, MUTUAL for a certificate.
local LISTENERS = "listeners=PLAINTEXT://127.0.0.1:@BROKER@,CONTROLLER://127.0.0.1:@CONTROLLER@,"
  .. "SASL://127.0.0.1:@FREE1@,MUTUAL://127.0.0.1:@FREE2@"
local MODULE = "listener.name.sasl.%s.sasl.jaas.config=org.apache.kafka.common.security.%s required %s;"

local function broker_settings()
  local settings = { LISTENERS, "advertised." .. LISTENERS:gsub("CONTROLLER:[^,]*,", ""),
    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL",
    "listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512,OAUTHBEARER",
    MODULE:format("plain", "plain.PlainLoginModule", ('user_alice="%s"'):format(PASSWORD)),
    MODULE:format("scram-sha-512", "scram.ScramLoginModule", ""),
    MODULE:format("oauthbearer", "oauthbearer.OAuthBearerLoginModule",
      'unsecuredLoginStringClaim_sub="broker" unsecuredValidatorRequiredScope="kafka"'),
    ("--add-scram=SCRAM-SHA-512=[name=alice,password=%s]"):format(PASSWORD),
    "listener.name.mutual.ssl.client.auth=required" }
  for _, listener in ipairs { "sasl", "mutual" } do
    for _, line in ipairs { "keystore.type=PEM", "keystore.location=@DIR@/broker.both", "truststore.type=PEM",
      "truststore.location=@DIR@/authority.pem" } do
      settings[#settings + 1] = ("listener.name.%s.ssl.%s"):format(listener, line)
    end
  end
  return settings
end

kafka.describe("a broker that asks who one is", { partitions = 2 }, function(t)
  local folder, sasl, mutual, password_file

  setup(function()
    folder = assert(io.popen("mktemp -d")):read("*l")
    for _, authority in ipairs { "authority", "stranger" } do certificates.authority(folder, authority) end
    for _, name in ipairs { "broker", "client", "renewed" } do certificates.signed(folder, "authority", name) end
    for _, name in ipairs { "impostor", "intruder" } do certificates.signed(folder, "stranger", name) end
    password_file = folder .. "/password"
    local file = assert(io.open(password_file, "w"))
    file:write(PASSWORD, "\n")
    file:close()
    os.execute(("chmod 600 %s %s/*.key"):format(password_file, folder))
    local code, bootstrap, err = process.run({ "scripts/dev/kafka.sh", "start", folder, unpack(broker_settings()) },
      { timeout = 300, env = UNSANITIZED })
    assert(code == 0, err)
    kafka.use((bootstrap:gsub("%s", "")))
    local properties = files.read(folder .. "/server.properties")
    sasl, mutual = properties:match("SASL://([%d.:]+),MUTUAL://([%d.:]+)")
  end)

  teardown(function()
    kafka.use(nil)
    process.run({ "scripts/dev/kafka.sh", "kill", folder }, { env = UNSANITIZED })
    os.execute("rm -rf " .. folder)
  end)

  local function definition(brokers, properties, settings)
    return { source = { brokers = brokers, topic = t.input, group = t.group, start = "earliest",
      rdkafka = properties }, produce = { topic = t.output }, settings = settings or { broker_timeout = "20s" } }
  end

  local function changed(properties, changes)
    for name, value in pairs(changes or {}) do properties[name] = value or nil end
    return properties
  end

  local function login(mechanism, changes)
    return changed({ ["security.protocol"] = "SASL_SSL", ["sasl.mechanism"] = mechanism, ["sasl.username"] = "alice",
      ["ssl.ca.location"] = folder .. "/authority.pem",
      ["sasl.password"] = engine.code(("tide.secret_file %q"):format(password_file)) }, changes)
  end

  local function token(config)
    return login("OAUTHBEARER", { ["sasl.username"] = false, ["sasl.password"] = false,
      ["enable.sasl.oauthbearer.unsecure.jwt"] = true, ["sasl.oauthbearer.config"] = config })
  end

  local function certificate(changes)
    return changed({ ["security.protocol"] = "SSL", ["ssl.ca.location"] = folder .. "/authority.pem",
      ["ssl.certificate.location"] = folder .. "/client.pem", ["ssl.key.location"] = folder .. "/client.key" }, changes)
  end

  local function goes_through(defined, env)
    kafka.produce(t.input, inputs.numbers(1, 1000))
    local run = engine.run(defined, { env = env })
    inputs.once(t.output, 1000)
    local report = files.read(run.report_path)
    assert.is_nil((run:stderr() .. run.process:stdout() .. report):find(PASSWORD, 1, true), run:stderr())
    return run
  end

  it("a broker that asks for a password (PLAIN over TLS) gets it from a file, and check finds it good, too", function()
    local defined = definition(sasl, login "PLAIN")
    goes_through(defined)
    local code, _, err = engine.verb("check", defined, { args = { "--connect" } })
    assert.equal(0, code, err)
  end)

  it("a broker that asks for a password gets it from the environment", function()
    goes_through(definition(sasl, login("PLAIN", { ["sasl.password"] = engine.code 'tide.env "TIDE_SPEC_PASSWORD"' })),
      { TIDE_SPEC_PASSWORD = PASSWORD })
  end)

  it("a broker that asks for a password gets it from a credential of systemd", function()
    goes_through(definition(sasl, login("PLAIN", { ["sasl.password"] = engine.code 'tide.credential "password"' })),
      { CREDENTIALS_DIRECTORY = folder })
  end)

  -- The brokers here refuse the SCRAM of an older librdkafka (engine/kafka/reach.c), so a newer one is loaded for that.
  local major, minor, patch = ffi.string(C.tide_rdkafka_version()):match("^(%d+)%.(%d+)%.(%d+)")
  local is_sound = major * 10000 + minor * 100 + patch >= 20601
  local newer = os.getenv("TIDE_RDKAFKA")

  it("a broker that asks for the proof of a password (SCRAM-SHA-512) gets it", function()
    if not is_sound and not newer then return pending("needs librdkafka 2.6.1") end
    goes_through(definition(sasl, login "SCRAM-SHA-512"), { LD_LIBRARY_PATH = not is_sound and newer or nil })
  end)

  it("a broker that refuses the SCRAM of an old librdkafka ends the run with 78, and what is needed is said", function()
    if is_sound then return end
    local run = engine.run(definition(sasl, login "SCRAM-SHA-512"), { code = 78 })
    assert.is_true(run:says("SCRAM needs librdkafka 2.6.1 or newer"), run:stderr())
  end)

  it("a broker that asks for a token (OAUTHBEARER) gets it", function()
    goes_through(definition(sasl, token "principal=alice scope=kafka"))
  end)

  it("a broker that asks for a certificate gets it", function()
    goes_through(definition(mutual, certificate()))
  end)

  -- `run` and `check` end with this code and name all these words.
  local function is_refused(properties, brokers, words)
    -- To wait for broker_timeout would take longer than a command may.
    local defined = definition(brokers, properties, { broker_timeout = "10min" })
    for _, arguments in ipairs { { "run", "--until-end" }, { "check", "--connect" } } do
      local code, _, err = engine.verb(arguments[1], defined, { args = { arguments[2] } })
      assert.equal(78, code, err)
      for _, word in ipairs(words) do assert.is_truthy(err:find(word, 1, true), err) end
      assert.is_nil(err:find(PASSWORD:reverse(), 1, true), err)
    end
  end

  it("a broker that is told a wrong password or token ends run and check with 78 at once, naming it and"
    .. " the cause", function()
    local wrong = folder .. "/wrong"
    local file = assert(io.open(wrong, "w"))
    file:write(PASSWORD:reverse())
    file:close()
    os.execute("chmod 600 " .. wrong)
    local changes = { ["sasl.password"] = engine.code(("tide.secret_file %q"):format(wrong)) }
    is_refused(login("PLAIN", changes), sasl, { sasl, "Invalid username or password" })
    is_refused(login("SCRAM-SHA-512", changes), sasl, { sasl, "invalid credentials" })
    is_refused(token "principal=alice scope=other", sasl, { sasl, "insufficient_scope" })
  end)

  it("a broker whose certificate nobody vouches for, or that has another name, ends run and check with"
    .. " 78 at once", function()
    is_refused(certificate { ["ssl.ca.location"] = folder .. "/stranger.pem" }, mutual,
      { mutual, "certificate verify failed" })
    local localhost = mutual:gsub("^[%d.]+", "localhost")
    is_refused(certificate(), localhost, { localhost, "certificate verify failed" })
  end)

  it("a broker that knows a client's certificate not, or gets none, ends run and check with 78 at once", function()
    is_refused(certificate { ["ssl.certificate.location"] = folder .. "/intruder.pem",
      ["ssl.key.location"] = folder .. "/intruder.key" }, mutual, { mutual, "SSL" })
    is_refused(certificate { ["ssl.certificate.location"] = false, ["ssl.key.location"] = false }, mutual,
      { mutual, "SSL" })
  end)

  it("a broker that is not asked in the way it wants ends the run with 69, naming the broker", function()
    local run = engine.run(definition(sasl, nil, { broker_timeout = "1s" }), { code = 69 })
    assert.is_true(run:says(sasl), run:stderr())
  end)

  it("a broker whose name is not verified is warned of", function()
    local localhost = mutual:gsub("^[%d.]+", "localhost")
    local run = goes_through(definition(localhost, certificate { ["ssl.endpoint.identification.algorithm"] = "none" }))
    assert.is_true(run:says("the names in the brokers' certificates are not verified"), run:stderr())
  end)

  it("a secret file that others can read is warned of once, one that they can write is refused", function()
    local lax = folder .. "/lax"
    os.execute(("cp %s %s; chmod 644 %s"):format(password_file, lax, lax))
    local changes = { ["sasl.password"] = engine.code(("tide.secret_file %q"):format(lax)) }
    local run = goes_through(definition(sasl, login("PLAIN", changes)))
    local _, count = run:stderr():gsub("others than its owner can read it %(mode 644%)", "")
    assert.equal(1, count, run:stderr())
    os.execute("chmod 666 " .. lax)
    run = engine.run(definition(sasl, login("PLAIN", changes)), { code = 78 })
    assert.is_true(run:says("everybody can write it (mode 666)"), run:stderr())
  end)

  -- Has the broker show another certificate on new connections.
  local function renew(name)
    local settings = {}
    for _, listener in ipairs { "sasl", "mutual" } do
      settings[#settings + 1] = ("listener.name.%s.ssl.keystore.location=%s/%s.both"):format(listener, folder, name)
    end
    kafka.set_broker(settings)
  end

  it("a broker whose certificate is renewed while a pipeline runs is reached by it again; one that has"
    .. " another authority's is not until that is put right", function()
    local defined = definition(mutual, certificate())
    defined.produce.rdkafka = { ["connections.max.idle.ms"] = 1000 } -- so that it connects anew
    local run, sent = engine.start(defined), 0
    local function send()
      sent = sent + 1
      kafka.produce(t.input, inputs.numbers(sent, sent))
    end
    send()
    kafka.consume(t.output, { n = 1 })
    renew "impostor"
    wait.until_true(function()
      send()
      wait.pause(3000) -- longer than the producer's connection may be idle, so that the next message needs a new one
      return run:says("certificate verify failed")
    end, "a connection to the impostor")
    renew "renewed"
    send()
    assert.equal(sent, #kafka.consume(t.output, { n = sent }))
    run:drain()
  end)

  -- The broker takes certificates of another authority from now on, so that who connects with the old one is refused.
  local function renews(engines)
    os.execute(("cp %s/client.pem %s/own.pem; cp %s/client.key %s/own.key"):format(folder, folder, folder, folder))
    kafka.set_broker { ("listener.name.mutual.ssl.truststore.location=%s/authority.pem"):format(folder) }
    local defined = definition(mutual, certificate { ["ssl.certificate.location"] = folder .. "/own.pem",
      ["ssl.key.location"] = folder .. "/own.key" })
    defined.source.instance = "one"
    local run = engine.start(defined, { args = { "--engines", tostring(engines) } })
    kafka.produce(t.input, inputs.numbers(1, 100))
    inputs.wait_committed(t.group, t.input)
    -- One engine commits all while another still connects, which the broker would refuse from here on.
    for engine_number = 1, engines do
      run:wait_for(engines == 1 and "partitions assigned" or ("engine %d: partitions assigned"):format(engine_number))
    end
    kafka.set_broker { ("listener.name.mutual.ssl.truststore.location=%s/stranger.pem"):format(folder) }
    os.execute(("cp %s/intruder.pem %s/own.pem"):format(folder, folder))
    run:wait_for "have changed and cannot be used"
    os.execute(("cp %s/intruder.key %s/own.key"):format(folder, folder))
    run:wait_for "going on with them"
    kafka.produce(t.input, inputs.numbers(101, 200))
    inputs.wait_committed(t.group, t.input)
    return run
  end

  it("a client's certificate that is renewed on disk is the one that counts: the run ends in order and begins anew in"
    .. " the same process", function()
    local run = renews(1)
    local _, assigned = run:stderr():gsub("partitions assigned", "")
    assert.equal(2, assigned)
    assert.equal(2, #process.children(run.process:pid())) -- zygote and forker: nothing of before is left
    run:drain()
    inputs.once(t.output, 200)
  end)

  it("a client's certificate that is renewed on disk counts with several engines, too", function()
    local run = renews(2)
    for number = 1, 2 do run:wait_for(("engine %d starts again"):format(number)) end -- not that of one alone
    run:drain()
    inputs.at_least_once(t.output, 200)
  end)
end)
