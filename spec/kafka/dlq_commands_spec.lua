-- SPDX-License-Identifier: MIT
-- tidemill dlq on a real Kafka: replays arrive once, as they were, and do not go round for ever.
local engine = require "spec.support.engine"
local kafka = require "spec.support.kafka"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

kafka.describe("tidemill dlq on a topic", { input = { 3 }, letters = { 2 } }, function(t)
  local definition

  before_each(function()
    definition = t:definition { dlq = { topic = t.letters }, commit = { policy = { min_time = "50ms" } },
      task = "function(m) if (m.value or 'bad'):find('bad') then error('no good') end return m end" }
  end)

  local function dlq(action, ...)
    return process.run { engine.PROGRAM, "dlq", action, t.letters, "--brokers", kafka.bootstrap(), ... }
  end

  local function done(action, ...)
    local code, out, err = dlq(action, ...)
    assert.equal(0, code, err)
    return out, err
  end

  local function count(...)
    return select(2, done("list", ...):gsub("\n", ""))
  end

  -- Those that a replay brought, of all there are in the input.
  local function replayed()
    local found = {}
    for _, message in ipairs(kafka.consume(t.input)) do
      local last = message.headers[#message.headers]
      if last and last[1] == "tidemill.replay_count" then found[#found + 1] = message end
    end
    return found
  end

  local function fill(number)
    local messages = {}
    for i = 1, number do messages[i] = { key = "k" .. i, value = "bad " .. i, partition = i % 3 } end
    kafka.produce(t.input, messages)
    engine.run(definition)
  end

  it("tidemill dlq on a topic replays to the topic and partition it came from: key, value and headers"
    .. " as they were", function()
    local sent = {
      { key = "k", value = "bad\0\255", headers = { { "h", "1" }, { "h" }, { "error", "mine" } }, partition = 2 },
      { partition = 1 }, { key = "", value = "", partition = 0, headers = { { "original_topic", "mine" } } },
    }
    sent[3].value = "bad"
    kafka.produce(t.input, sent)
    engine.run(definition)
    local before = os.time() * 1000 - 1000
    local words = select(2, done("replay"))
    assert.truthy(words:find("replayed 3 dead letters to " .. t.input, 1, true))
    assert.truthy(words:find("nothing is remembered of " .. t.letters, 1, true))
    local found = replayed()
    table.sort(found, function(a, b) return a.partition > b.partition end)
    for i, message in ipairs(sent) do
      local headers = { unpack(message.headers or {}) }
      headers[#headers + 1] = { "tidemill.replay_count", "1" }
      assert.same({ message.partition, message.key, message.value, headers },
        { found[i].partition, found[i].key, found[i].value, found[i].headers })
      assert.is_true(found[i].timestamp >= before) -- else its topic might delete it at once
    end
    assert.equal(0, count())
    assert.equal(3, count("--all"))
  end)

  it("tidemill dlq on a topic replays a value that was mended by hand, with the letter's key and headers", function()
    kafka.produce(t.input, { { key = "k", value = "bad", headers = { { "h", "1" } }, partition = 2 },
      { value = "bad too", partition = 1 } })
    engine.run(definition)
    local path = pipeline_file.folder() .. "/mended"
    local file = assert(io.open(path, "wb"))
    file:write("mended\0\n")
    file:close()
    done("replay", "--partition", "2", "--value", path)
    local found = replayed()
    assert.equal(1, #found)
    assert.same({ "k", "mended\0\n", 2, { { "h", "1" }, { "tidemill.replay_count", "1" } } },
      { found[1].key, found[1].value, found[1].partition, found[1].headers })
    assert.equal(1, count())
  end)

  it("tidemill dlq on a topic replays each dead letter once, whatever is chosen in whatever order", function()
    fill(60)
    done("replay", "--offset", "5-9")
    done("replay", "--limit", "7")
    done("drop", "--partition", "1", "--limit", "4", "--yes")
    assert.truthy(select(2, done("replay", "--dry-run")):find("would replay 34 dead letters", 1, true))
    assert.equal(34, count())
    done("replay")
    local words = select(2, done("replay"))
    assert.truthy(words:find("replayed 0 dead letters", 1, true))
    assert.falsy(words:find("nothing is remembered", 1, true))
    local times = {}
    for _, message in ipairs(replayed()) do times[message.value] = (times[message.value] or 0) + 1 end
    local different = 0
    for value, number in pairs(times) do
      assert.equal(1, number, value)
      different = different + 1
    end
    assert.equal(56, different)
  end)

  it("tidemill dlq on a topic passes over the markers of transactions between them", function()
    definition.settings = { delivery = "exactly_once" }
    for _ = 1, 3 do fill(6) end
    done("replay", "--limit", "4", "--match", "no good")
    done("replay", "--reason", "error")
    assert.equal(18, #replayed())
    assert.equal(0, count())
    local ends, committed = kafka.ends(t.letters), kafka.committed("tidemill-dlq-" .. t.letters, t.letters)
    for partition, offset in pairs(committed) do -- the last marker is no dead letter
      assert.is_true(offset >= ends[partition] - 1, ("%d of %d"):format(offset, ends[partition]))
    end
  end)

  it("tidemill dlq on a topic finds the topic in a pipeline file, and sends elsewhere if told so", function()
    fill(6)
    local other = kafka.topic(1)
    local code, _, err = process.run { engine.PROGRAM, "dlq", "replay", (engine.file(definition)), "--to", other }
    assert.equal(0, code, err)
    assert.equal(6, #kafka.consume(other))
    assert.equal(0, #replayed())
  end)

  it("tidemill dlq on a topic stops what would go round for ever", function()
    fill(2)
    for i = 1, 3 do
      done("replay")
      assert.equal(2 * i, #replayed())
      engine.run(definition) -- it fails again
    end
    local code, _, err = dlq("replay")
    assert.equal(65, code)
    assert.truthy(err:find("was replayed 3 times already (--max-replays 3)", 1, true), err)
    assert.truthy(err:find("replayed 0 dead letters to no topic; 2 refused", 1, true), err)
    assert.equal(2, count())
    done("replay", "--max-replays", "4")
    assert.equal(8, #replayed())
  end)

  it("tidemill dlq on a topic does not send a dead letter whose value was cut, unless told so", function()
    t.letters = kafka.topic(1, { ["max.message.bytes"] = 2000 })
    definition.dlq.topic = t.letters
    kafka.produce(t.input, { { value = "bad" .. ("x"):rep(5000) } })
    engine.run(definition)
    local code, _, err = dlq("replay")
    assert.equal(65, code)
    assert.truthy(err:find("is truncated (--truncated sends what there is)", 1, true), err)
    assert.truthy(done("show"):find("the first 1024 of 5003 bytes", 1, true))
    done("replay", "--truncated")
    assert.equal(1024, #replayed()[1].value)
  end)

  it("tidemill dlq on a topic sends dead letters of a file, to the brokers named", function()
    local folder = require("spec.support.pipeline_file").folder()
    definition.dlq = { path = folder .. "/letters.jsonl" }
    kafka.produce(t.input, { { key = "k", value = "bad \0", headers = { { "h" }, { "h", "1" } }, partition = 1 } })
    engine.run(definition)
    t.letters = definition.dlq.path
    done("replay")
    local message = replayed()[1]
    assert.same({ 1, "k", "bad \0", { { "h" }, { "h", "1" }, { "tidemill.replay_count", "1" } } },
      { message.partition, message.key, message.value, message.headers })
    assert.equal(0, count())
  end)

  it("tidemill dlq on a topic sends a result that the output refused to the output, not through the"
    .. " function again", function()
    t.output = kafka.topic(1, { ["max.message.bytes"] = 2000 })
    definition.produce.topic = t.output
    definition.task = 'function(m) m.value = "OUT:" .. m.value return m end'
    definition.dlq.topic = t.letters
    kafka.produce(t.input, { { key = "k", value = "hello" .. ("x"):rep(5000), headers = { { "h", "1" } } } })
    engine.run(definition)
    local row = done("list")
    assert.truthy(row:find("\t" .. t.output .. "/0\n", 1, true), row)
    assert.truthy(done("show"):find("replay to   " .. t.output .. "/0", 1, true))
    assert.equal(65, (dlq("replay"))) -- still too large
    kafka.delete_topic(t.output)
    wait.until_true(function() return pcall(kafka.topic, 1, nil, t.output) end, "the output, that takes it now")
    assert.truthy(select(2, done("replay")):find("replayed 1 dead letter to " .. t.output, 1, true))
    local message = kafka.consume(t.output)[1]
    assert.same({ "k", "OUT:hello" .. ("x"):rep(5000), { { "h", "1" }, { "tidemill.replay_count", "1" } } },
      { message.key, message.value, message.headers })
    assert.equal(1, #kafka.consume(t.input))
  end)

  it("tidemill dlq on a topic goes on past what no dead letter is, and what has numbers that are none", function()
    local function letter(value, headers)
      return { value = value, partition = 0, headers = { { "original_topic", t.input }, { "original_partition", "1" },
        { "original_offset", "7" }, unpack(headers) } }
    end
    kafka.produce(t.letters, {
      letter("infinite", { { "attempts", "1e999" }, { "original_timestamp", "nan" } }),
      letter("hexadecimal", { { "original_partition", "0x10" } }),
      letter("far", { { "original_partition", "99999999999" } }),
      { value = "none", partition = 0 },
    })
    local own = { { "replay_count", "0x10" }, { "error", "mine" }, { "reason", "-5" } }
    local counted = { unpack(own) }
    for _, number in ipairs { "1e999", "nan", "-5", "0x10", "" } do
      table.insert(counted, { "tidemill.replay_count", number })
    end
    kafka.produce(t.input, { { value = "bad headers", headers = counted, partition = 2 } })
    engine.run(definition)
    assert.equal(4, count())
    assert.truthy(done("show"):find("infinite", 1, true))
    local words = select(2, done("replay"))
    assert.truthy(words:find("1 of 5 records are no dead letters", 1, true), words)
    assert.truthy(words:find("replayed 4 dead letters to " .. t.input, 1, true), words)
    local found = {}
    for _, message in ipairs(replayed()) do found[message.value] = message end
    table.insert(own, { "tidemill.replay_count", "1" })
    assert.same(own, found["bad headers"].headers)
    assert.truthy(found.infinite and found.hexadecimal and found.far)
  end)

  it("tidemill dlq on a topic takes dead letters with more headers than 16 bits count", function()
    local own = {}
    for i = 1, 70000 do own[i] = { "h", tostring(i) } end
    local few = { unpack(own, 1, 7000) }
    for i = 7001, 65528 do few[i] = own[i] end -- with ours more than 65,536
    kafka.produce(t.input, { { value = "bad many", headers = own }, { value = "bad some", headers = few },
      { value = "good", headers = own } })
    engine.run(definition)
    assert.equal(70000, #kafka.consume(t.output)[1].headers)
    assert.equal(2, count())
    assert.truthy(done("show", "--match", "no good"):find("header      h = 65528", 1, true))
    done("replay")
    local found = replayed()
    table.sort(found, function(a, b) return a.value < b.value end)
    for i, sent in ipairs { own, few } do
      sent[#sent + 1] = { "tidemill.replay_count", "1" }
      assert.equal(#sent, #found[i].headers)
      for at, header in ipairs(sent) do assert(found[i].headers[at][2] == header[2], "header " .. at) end
    end
  end)

  it("tidemill dlq on a topic leaves what it could not send: a refused message ends it with 65, those"
    .. " before it are remembered", function()
    fill(5)
    local small = kafka.topic(1, { ["max.message.bytes"] = 100 })
    local code, _, err = dlq("replay", "--to", small)
    assert.equal(0, code, err)
    kafka.produce(t.input, { { value = "bad" .. ("x"):rep(500), partition = 0 } })
    engine.run(definition)
    code, _, err = dlq("replay", "--to", small)
    assert.equal(65, code)
    assert.truthy(err:find("replayed 0 dead letters to " .. small .. "; 0 refused; 1 are left", 1, true), err)
    assert.equal(1, count())
  end)

  it("tidemill dlq on a topic says that a topic is not there: 78", function()
    fill(1)
    assert.equal(78, (dlq("replay", "--to", "no-such-topic")))
    assert.equal(1, count())
    local code, _, err = process.run { engine.PROGRAM, "dlq", "list", "no-such-topic", "--brokers", kafka.bootstrap() }
    assert.equal(78, code, err)
  end)

  describe("that is ended in the middle of a replay", function()
    local NUMBER = 20000

    -- Begins a replay of many dead letters and ends it by a signal once some of them have arrived; its exit code.
    local function begin(signal)
      local messages = {}
      for i = 1, NUMBER do
        messages[i] = { value = "bad " .. i, headers = { { "original_topic", t.input },
          { "original_partition", tostring(i % 3) }, { "original_offset", "0" } } }
      end
      kafka.produce(t.letters, messages)
      local replay = process.start { engine.PROGRAM, "dlq", "replay", t.letters, "--brokers", kafka.bootstrap() }
      wait.until_true(function()
        local ends = kafka.ends(t.input)
        return ends[0] + ends[1] + ends[2] > 0 or not replay:running()
      end, "the first messages")
      replay:signal(signal)
      return replay:wait()
    end

    local function times()
      local found, all = {}, kafka.consume(t.input)
      for _, message in ipairs(all) do found[message.value] = (found[message.value] or 0) + 1 end
      return found, #all
    end

    it("tidemill dlq on a topic that is ended in the middle of a replay by kill -9, sends the rest with"
      .. " the next one and loses none", function()
      begin("KILL")
      done("replay")
      local found = times()
      for i = 1, NUMBER do assert(found["bad " .. i], "lost: bad " .. i) end
      assert.equal(0, count())
    end)

    it("tidemill dlq on a topic that is ended in the middle of a replay by SIGTERM, remembers what"
      .. " arrived: the next one sends the rest, none twice", function()
      local code = begin("TERM")
      assert.is_true(code == 75 or code == 0, code)
      local _, first = times()
      assert.equal(NUMBER - first, count())
      done("replay")
      local found, all = times()
      for i = 1, NUMBER do assert(found["bad " .. i] == 1, ("bad %d: %s times"):format(i, found["bad " .. i])) end
      assert.equal(NUMBER, all)
    end)
  end)

  it("tidemill dlq on a topic reads dead letters of a pipeline that goes on writing them, and sees no"
    .. " half of them", function()
    local run = engine.start(definition)
    local messages = {}
    for i = 1, 3000 do messages[i] = { value = "bad " .. i, partition = i % 3 } end
    kafka.produce(t.input, messages)
    wait.until_true(function() return count("--all") >= 100 end, "some dead letters")
    wait.until_true(function() return count("--all") == 3000 end, "all dead letters")
    run:drain()
    assert.equal(3000, count())
  end)
end)
