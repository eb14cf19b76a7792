-- SPDX-License-Identifier: MIT
-- Known secrets, which nothing of what the program does may show: they are searched for in all that it writes and
-- answers, and in the memory of the processes that run user code. The brokers ask for none of them; what is said of
-- logins that fail is in security_spec.lua.
local socket = require "socket"
local engine = require "spec.support.engine"
local files = require "spec.house.files"
local http = require "spec.support.http"
local kafka = require "spec.support.kafka"
local metrics = require "tidemill.steps.metrics"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local secret_search = require "spec.support.secret_search"
local wait = require "spec.support.wait"

-- All that librdkafka can be told to log, but for what would show secrets: that is refused.
local DEBUG = "generic,broker,topic,metadata,feature,queue,msg,protocol,cgrp,fetch,interceptor,plugin,consumer,admin,"
  .. "eos,mock,assignor"

-- What a script that is after secrets asks for; `error` makes a dead letter, `crash` ends the worker.
local TASK = [[function(message)
  local found = tostring(os.getenv "TIDE_CANARY")
  local file = io.open("/proc/self/environ", "rb")
  if file then found = found .. (file:read "*a" or "") end
  if message.value == "error" then error("no good: " .. found) end
  if message.value == "crash" then require("ffi").cast("int *", 8)[0] = 0 end
  message.value = message.value .. " " .. found
  return message
end]]

kafka.describe("a secret", { letters = { 1 } }, function(t)
  local secrets, folder, env

  before_each(function()
    secrets = { secret_search.new "variable", secret_search.new "file", secret_search.new "credential" }
    folder = pipeline_file.folder()
    for i, name in ipairs { false, "password", "credential" } do
      local file = name and assert(io.open(folder .. "/" .. name, "w"))
      if file then file:write(secrets[i], "\n") end
      if file then file:close() end
    end
    os.execute("chmod 600 " .. folder .. "/*")
    env = { TIDE_CANARY = secrets[1], CREDENTIALS_DIRECTORY = folder }
  end)

  local function definition(changes)
    local properties = { ["sasl.username"] = "canary", ["sasl.password"] = engine.code 'tide.env "TIDE_CANARY"',
      ["ssl.key.password"] = engine.code(("tide.secret_file %q"):format(folder .. "/password")), debug = DEBUG }
    local other = { ["ssl.keystore.password"] = engine.code 'tide.credential "credential"', debug = DEBUG }
    return t:definition({ source = { rdkafka = properties }, task = TASK, dlq = { topic = t.letters },
      produce = { topic = t.output, rdkafka = other }, commit = { policy = { min_time = "50ms" } },
      settings = { trust = "full" } }, changes)
  end

  local function is_absent(text, what)
    local found = secret_search.of(text, secrets)
    assert(not found, ("%s is in %s:\n%s"):format(found or "", what, text))
  end

  -- Runs commands beside each other; each must end with its code (0) and show no secret.
  local function all_silent(commands)
    for _, command in ipairs(commands) do
      command.process = process.start({ engine.PROGRAM, unpack(command) },
        { env = env, cwd = folder, stdin = command.stdin })
    end
    for _, command in ipairs(commands) do
      local words, one = table.concat(command, " "), command.process
      local code = one:wait()
      assert(code == (command.code or 0), ("%s: exit code %s\n%s"):format(words, code or "none yet", one:stderr()))
      is_absent(one:stdout() .. one:stderr(), words)
    end
  end

  local function no_file_has_one()
    assert.is_nil(secret_search.in_files(folder, secrets, { password = true, credential = true }))
  end

  it("a secret is found by the search of this spec where it is", function()
    if require("spec.support.program").build == "build/asan" then return end -- where no memory is searched
    local one = process.start({ "sleep", "60" }, { env = env })
    wait.until_true(function() -- while it is started its stack has the variables already, and its environ does not
      return secret_search.in_process(one:pid(), secrets) == secrets[1] .. " in environ"
    end, "the secret in its environment")
    local file = process.start({ "luajit", "-e", "kept = io.open('password'):read('*a') .. '.' io.read('*a') "
      .. "require('socket').sleep(60)" }, { cwd = folder })
    wait.until_true(function() return secret_search.in_process(file:pid(), secrets) end, "the secret in its memory")
  end)

  it("a secret is in no memory, page, metric, log, dead letter or report of a run", function()
    local server = assert(socket.udp())
    server:setsockname("127.0.0.1", 0)
    server:settimeout(60)
    local run = engine.start(definition(), { env = env, args = { "--log-level", "debug", "--log-format", "json",
      "--tap", "--metrics-addr", "127.0.0.1:0", "--statsd", "127.0.0.1:" .. select(2, server:getsockname()) } })
    local port = wait.until_true(function() return run:stderr():match('"port":(%d+)') end, "HTTP")
    kafka.produce(t.input, { { value = "good" }, { value = "error" }, { value = "crash" }, { value = "good" } })
    for _, topic in ipairs { t.output, t.letters } do
      for _, message in ipairs(kafka.consume(topic, { n = 2 })) do is_absent(kafka.encode(message), topic) end
    end
    assert.is_true((secret_search.search(run:processes(), secrets)) >= 2)
    for _, path in ipairs(metrics.paths) do
      if path[1] ~= "/tap" and path[1] ~= "/profile" then is_absent(http.get(port, path[1]).body, path[1]) end
    end
    is_absent(server:receive(), "StatsD")
    local address = "127.0.0.1:" .. port
    local taps = { { "tap", "--limit", "1", address }, { "profile", "--seconds", "0.2", address },
      { "top", "--once", address }, { "doctor", address } }
    kafka.produce(t.input, { { value = "good" } })
    local feed = process.start({ engine.PROGRAM, unpack(taps[1]) }, { env = env })
    wait.until_true(function()
      kafka.produce(t.input, { { value = "good" } })
      return not feed:running()
    end, "a sample")
    is_absent(feed:stdout() .. feed:stderr(), "tap")
    table.remove(taps, 1)
    all_silent(taps)
    run:drain()
    is_absent(run:stderr() .. run.process:stdout() .. files.read(run.report_path), "log and report")
    all_silent { { "doctor", run.report_path } }
  end)

  it("a secret is in no memory of zygote and workers in the sandbox", function()
    local sandboxed = definition()
    sandboxed.settings = { trust = "standard" }
    local run = engine.start(sandboxed, { env = env })
    kafka.produce(t.input, { { value = "good" }, { value = "error" }, { value = "crash" }, { value = "good" } })
    for _, topic in ipairs { t.output, t.letters } do
      for _, message in ipairs(kafka.consume(topic, { n = 2 })) do is_absent(kafka.encode(message), topic) end
    end
    -- The kernel keeps a process in the sandbox from ordinary users. Root may look.
    local count, read = secret_search.search(run:processes(), secrets)
    assert.is_true(count >= 2)
    local _, user = process.run { "id", "-u" }
    if user == "0\n" then assert.equal(count, read) end
    run:drain()
    is_absent(run:stderr() .. files.read(run.report_path), "log and report")
  end)

  it("a secret is shown by no command", function()
    local defined = definition()
    local path = (engine.file(defined))
    kafka.produce(t.input, { { value = "good" }, { value = "error" } })
    engine.run(defined, { env = env })
    local input = pipeline_file.folder() .. "/input"
    local file = assert(io.open(input, "w"))
    file:write("good\nerror\n")
    file:close()
    all_silent {
      { "plan", path }, { "plan", "--format", "dot", path }, { "check", path }, { "check", "--connect", path },
      { "run", "--until-end", "--log-level", "debug", "--report", "report.json", path },
      { "run", "--mock-kafka", "--feed", input, path }, { "run", "--input", input, path },
      { "record", "--count", "1", path }, { "try", path, stdin = input }, { "new", "fresh" },
      { "profile", "--input", input, "--seconds", "0.2", path },
      { "dlq", "list", path }, { "dlq", "show", path }, { "dlq", "replay", "--dry-run", path },
      { "metrics" }, { "help", "secret_file" }, { "completion", "bash" }, { "version" }, { "test", code = 66 },
    }
    all_silent { { "dlq", "drop", "-y", path } }
    no_file_has_one()
  end)

  it("a secret is shown by no command that fails", function()
    local function with(name, changes)
      local made = definition(changes)
      made.settings = { broker_timeout = "300ms" }
      return { name = name, path = (engine.file(made)) }
    end
    local away = with("brokers", { source = { brokers = "127.0.0.1:1" }, dlq = false })
    local odd = definition()
    odd.source.rdkafka["ssl.cipher.suites"] = engine.code 'tide.env "TIDE_CANARY"'
    odd.source.rdkafka["security.protocol"] = "SSL"
    local missing = definition()
    missing.source.rdkafka["sasl.password"] = engine.code('tide.env "TIDE_CANARY" .. tide.secret_file "/none"')
    local wrong = definition()
    wrong.source.rdkafka["fetch.min.bytes"] = engine.code 'tide.env "TIDE_CANARY"'
    local shown = definition()
    shown.source.rdkafka.debug = "all"
    local clear = definition()
    clear.source.rdkafka["sasl.password"] = secrets[1]
    local options = definition { dlq = false }
    options.source.discovery_interval = engine.code 'tide.env "TIDE_CANARY"'
    local commands = { { "run", "--log-level", "debug", away.path, code = 69 },
      { "check", "--connect", away.path, code = 69 }, { "record", away.path, code = 69 },
      { "tune", "--runs", "3", "--seconds", "0.1", away.path, code = 69 } }
    for _, one in ipairs { odd, missing, wrong, shown, clear, options } do
      commands[#commands + 1] = { "run", "--log-level", "debug", (engine.file(one)), code = 78 }
    end
    all_silent(commands)
    no_file_has_one()
  end)

  it("a secret is in no worker of a search for settings, or of a replay of dead letters", function()
    local defined = definition()
    local path, messages = (engine.file(defined)), {}
    for i = 1, 2000 do messages[i] = { value = "error" } end
    kafka.produce(t.input, messages)
    engine.run(defined, { env = env })
    for _, command in ipairs { { "dlq", "replay", path },
      { "tune", "--runs", "1", "--seconds", "0.3", "--messages", "1000", path } } do
      local one = process.start({ engine.PROGRAM, unpack(command) }, { env = env, cwd = folder })
      -- A variable is in the environment of a command before it has begun.
      local late = { secrets[2], secrets[3] }
      local count = secret_search.watch(one, function() return process.descendants(one:pid()) end, late)
      assert.is_true(count > 0, table.concat(command, " ") .. "\n" .. one:stderr())
      is_absent(one:stdout() .. one:stderr(), command[1])
    end
  end)

  it("a secret is left in no core of an engine that aborts", function()
    local path = (engine.file(definition()))
    local one = process.start({ "sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh", engine.PROGRAM, "run", path },
      { env = env, cwd = folder })
    wait.until_true(function() return one:stderr():find("partitions assigned", 1, true) end, "an assignment")
    one:signal(6)
    assert.equal(128 + 6, one:wait())
    local pipe = assert(io.popen("ls " .. folder))
    assert.equal("credential\npassword\n", pipe:read("*a"))
    pipe:close()
  end)
end)
