-- SPDX-License-Identifier: MIT
-- Random messages through a pipeline on random topics: all that comes out, dead letters and replays included, is what
-- a model says, byte for byte and to the millisecond. TIDE_CARRIAGE_MESSAGES=1000000 is the long form (make
-- spec-carriage); TIDE_SEED repeats a run.
local carriage = require "spec.support.carriage"
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local hash = require "tidemill.lib.hash"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"

local COUNT = tonumber(os.getenv "TIDE_CARRIAGE_MESSAGES") or 2000
local SEED = require("spec.support.seed").draw()
local ROUND = COUNT > 2000 and 5000 or 250 -- messages

kafka.describe("what a pipeline carries", function()
  -- What went in as it lies in the topic; the tool itself is held against what was given to it.
  local function fill(round, topic)
    local messages = carriage.messages(round, ROUND, os.time() * 1000)
    kafka.produce(topic, messages)
    local given, lying = {}, {}
    local seen = kafka.consume(topic)
    for i, message in ipairs(messages) do given[i] = carriage.text(message) end
    for i, message in ipairs(seen) do lying[i] = carriage.text(message) end
    carriage.same(given, lying, "the input topic")
    return seen
  end

  -- Records that the output should have, and by origin what should be a dead letter: { message, stage, reason }.
  local function expect(round, messages)
    local records, letters, now = {}, {}, os.time() * 1000
    for _, message in ipairs(messages) do
      local origin = message.partition .. "/" .. message.offset
      local record, reason = carriage.result(message)
      if record and not carriage.refused(record, round.output, now) then
        records[#records + 1] = record
      elseif record then
        letters[origin] = { of = message, message = record, stage = "produce" }
      elseif reason then
        letters[origin] = { of = message, message = message, reason = reason }
      end
    end
    return records, letters
  end

  local function check_output(round, wanted, topic, from, refusals)
    local appended = round.output["message.timestamp.type"] == "LogAppendTime"
    local texts, seen = {}, kafka.consume(topic)
    for i, record in ipairs(wanted) do texts[i] = carriage.text(record, appended) end
    for i, record in ipairs(seen) do
      if appended then assert(record.timestamp >= from and record.timestamp <= os.time() * 1000 + 1000) end
      seen[i] = carriage.text(record, appended)
    end
    carriage.same(texts, seen, "the output topic")
    -- Of a batch that was refused the good ones are sent again, behind others (ARCHITECTURE, "Weighed").
    if round.exactly_once or not refusals then
      carriage.same_order(texts, seen, round.partitions, "the output topic")
    end
  end

  -- The message's own headers, and those behind the last original_topic by name.
  local function parted(headers)
    local first
    for i, header in ipairs(headers) do
      if header[1] == "original_topic" then first = i end
    end
    local own, ours = {}, {}
    for i = 1, first - 1 do own[i] = headers[i] end
    for i = first, #headers do
      assert(not ours[headers[i][1]], headers[i][1] .. " is there twice")
      ours[headers[i][1]] = headers[i][2]
    end
    return own, ours
  end

  local function check_letter(letter, wanted, input, from)
    local own, ours = parted(letter.headers)
    local message, origin = wanted.message, wanted.of
    assert.same({ input, tostring(origin.partition), ("%d"):format(origin.offset), ("%.0f"):format(message.timestamp) },
      { ours.original_topic, ours.original_partition, ours.original_offset, ours.original_timestamp })
    assert.same(message.headers, own)
    if wanted.stage then assert.equal(wanted.stage, ours.stage) end
    if wanted.reason then assert.equal(wanted.reason, ours.reason) end
    assert(letter.timestamp >= from and letter.timestamp <= os.time() * 1000 + 1000, "a dead letter's time is not now")
    if ours.truncated then
      assert.equal(#message.value, tonumber(ours.original_size))
      assert.equal(hash.sha256(message.value), ours.sha256)
      assert.equal(letter.value, message.value:sub(1, #letter.value))
    else
      assert(letter.key == message.key and letter.value == message.value, "a dead letter's key or value differs")
    end
    return ours.truncated ~= nil
  end

  -- Each as it should be, once, and no other. Returns what a replay sends of them.
  local function check_letters(wanted, topic, input, from)
    local found, whole = {}, {}
    for _, letter in ipairs(kafka.consume(topic)) do
      local _, ours = parted(letter.headers)
      local origin = ours.original_partition .. "/" .. ours.original_offset
      assert(wanted[origin], origin .. " is no dead letter: " .. tostring(ours.error))
      assert(not found[origin], origin .. " is there twice")
      found[origin] = true
      if not check_letter(letter, wanted[origin], input, from) then whole[#whole + 1] = wanted[origin].message end
    end
    for origin in pairs(wanted) do assert(found[origin], origin .. " should be a dead letter") end
    return whole
  end

  -- What a replay with the original times sends to another topic.
  local function check_replay(round, messages, letters, all)
    local target = kafka.topic(1, round.input)
    local code, _, words = process.run({ engine.PROGRAM, "dlq", "replay", letters, "--brokers", kafka.bootstrap(),
      "--to", target, "--keep-timestamp" })
    assert.equal(all and 0 or 65, code, words)
    local wanted, seen = {}, {}
    for i, message in ipairs(messages) do
      local headers = { unpack(message.headers) }
      headers[#headers + 1] = { "tidemill.replay_count", "1" }
      wanted[i] = carriage.text { key = message.key, value = message.value, headers = headers, partition = 0,
        timestamp = message.timestamp }
    end
    for i, message in ipairs(kafka.consume(target)) do seen[i] = carriage.text(message) end
    carriage.same(wanted, seen, "the replay")
  end

  local function carry(round, options)
    local from = os.time() * 1000 - 1000
    local input, output = kafka.topic(round.partitions, round.input), kafka.topic(round.partitions, round.output)
    local letters, group = kafka.topic(1, round.letters), kafka.group()
    local messages = fill(round, input)
    local records, dead = expect(round, messages)
    engine.run({ source = { topic = input, group = group, start = "earliest" },
      produce = { topic = output, partition = "same", rdkafka = { ["compression.type"] = round.compression } },
      dlq = { topic = letters }, commit = { policy = { min_time = "100ms" } }, task = carriage.TRANSFORM,
      task_options = { processes = round.processes, max_batch_size = round.max_batch_size },
      settings = { delivery = round.exactly_once and "exactly_once" or nil } }, options)
    local count, refusals = 0, false
    for _, letter in pairs(dead) do count, refusals = count + 1, refusals or letter.stage == "produce" end
    check_output(round, records, output, from, refusals)
    local whole = check_letters(dead, letters, input, from)
    assert.same(kafka.ends(input), kafka.committed(group, input))
    check_replay(round, whole, letters, #whole == count)
  end

  it(("what a pipeline carries is what a model says, byte for byte and to the millisecond (%d messages)"):format(COUNT),
      function()
    math.randomseed(SEED)
    for number = 1, math.ceil(COUNT / ROUND) do
      local round = carriage.round()
      local done, problem = pcall(carry, round, { timeout = 120 })
      if not done then
        error(("TIDE_SEED=%d, round %d, %s:\n%s"):format(SEED, number, require("cjson").encode(round),
          type(problem) == "table" and tostring(problem.message or problem[1]) or tostring(problem)), 0)
      end
    end
    print(("carriage: seed %d"):format(SEED))
  end)

  it("what a pipeline carries is not what a model says, once times are read from failed reports (the planted mistake"
    .. " report_time)", function()
    math.randomseed(SEED)
    local round = carriage.round()
    round.exactly_once, round.output["cleanup.policy"] = false, "compact"
    round.output["message.timestamp.type"], round.max_batch_size = "CreateTime", 1000
    local done, problem = pcall(carry, round, { program = faults.folder .. "/tidemill",
      env = { TIDE_FAULTS = "bug.report_time=1+:bug" } })
    assert.is_false(done, ("not found, with TIDE_SEED=%d"):format(SEED))
    assert.is_truthy(tostring(problem):find("records of the model are missing", 1, true), tostring(problem))
  end)
end)
