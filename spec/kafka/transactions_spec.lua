-- SPDX-License-Identifier: MIT
-- What a producer meets that a real broker does not do on demand: brokers that are too old, lost answers, fatal errors.
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local gate = require "spec.support.gate"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local mock_kafka = require "spec.support.mock_kafka"
local wait = require "spec.support.wait"

kafka.describe("transactions", function()
  local mock, input, output

  local function definition(settings)
    return { source = { topic = input, group = "g", start = "earliest" }, produce = { topic = output },
      commit = { policy = { min_time = "50ms" } }, settings = settings or { delivery = "exactly_once" } }
  end

  local function new_mock()
    mock = mock_kafka.start(1)
    input, output = mock:topic(1), mock:topic(1)
  end

  after_each(function()
    mock_kafka.stop_all()
    gate.remove_all()
  end)

  it("transactions are refused by name on brokers older than 2.5, before anything is read", function()
    new_mock()
    mock:tell("versions", mock_kafka.API.init_producer_id, 0, 1)
    local run = engine.start(definition())
    run:ends_with(78)
    assert.is_true(run:says("exactly_once needs brokers from Kafka 2.5 on"))
  end)

  it("transactions that were ended twice are not followed by another of the same producer", function()
    new_mock()
    mock:fail("end_txn", "coordinator_load_in_progress")
    kafka.produce(input, inputs.numbers(1, 50))
    local run = engine.start(definition())
    run:wait_for("the producer is replaced: a request that ends a transaction was sent again")
    kafka.produce(input, inputs.numbers(51, 100))
    wait.until_true(function() return inputs.count(output) >= 100 end, "the rest of the output")
    run:drain()
    assert.equal(1, run:report().metrics["producer.replaced"])
  end)

  describe("and a fatal error:", function()
    local program = engine.PROGRAM
    before_each(function()
      engine.PROGRAM = faults.folder .. "/tidemill"
      input, output = kafka.topic(1, { ["retention.ms"] = -1 }), kafka.topic(1, { ["retention.ms"] = -1 })
    end)
    after_each(function() engine.PROGRAM = program end)

    for _, delivery in ipairs { "at_least_once", "exactly_once" } do
      it("the producer is replaced and all of it comes through, " .. delivery, function()
        local sent = inputs.numbers(1, 3000)
        for i, message in ipairs(sent) do message.timestamp = 1600000000000 + i end
        kafka.produce(input, sent)
        local made = definition { delivery = delivery }
        made.source.group = kafka.group()
        local run = engine.run(made, { env = { TIDE_FAULTS = "kafka.fatal=1500:errno:5" }, timeout = 60 })
        assert.is_true(run:says("the producer is replaced"))
        local counts, order = {}, {}
        for _, message in ipairs(kafka.consume(output)) do
          if not counts[message.value] then order[#order + 1] = message.value end
          counts[message.value] = (counts[message.value] or 0) + 1
          assert.equal(1600000000000 + tonumber(message.value), message.timestamp)
        end
        assert.equal(3000, #order)
        for i, value in ipairs(order) do
          assert.equal(tostring(i), value)
          if delivery == "exactly_once" then assert.equal(1, counts[value]) end
        end
      end)
    end

    -- The answer to the offsets of a transaction comes after its time, so they are sent again. One message is in
    -- it; the others have been read, and wait for a worker that hangs.
    for _, mistake in ipairs { false, true } do
      it("transactions and a fatal error offsets that are sent again are the"
        .. " same" .. (mistake and "; with a planted mistake they run ahead" or ""),
        function()
          input, output = kafka.topic(1), kafka.topic(1)
          kafka.produce(input, inputs.numbers(1, 200))
          local made = definition { delivery = "exactly_once", message_timeout = "10min" }
          made.source.group, made.task_options = kafka.group(), { processes = 1, max_batch_size = 1 }
          made.task = "function(m) while m.value ~= '1' do end return m end"
          local run = engine.start(made, { env = {
            TIDE_FAULTS = "kafka.offsets_late=1:errno:11" .. (mistake and ",bug.offsets_retaken=1:bug" or "") } })
          local offset = wait.until_true(function() return kafka.committed(made.source.group, input)[0] end,
            function() return "a commit: " .. run:stderr() end)
          assert.equal(1, #kafka.consume(output, { n = 1 }))
          run:signal("KILL") -- the worker does not come to an end
          assert.equal(not mistake, offset == 1, offset .. " messages are committed, 1 was delivered")
        end)
    end

    -- The commit of one engine is held back until another one has one of its partitions and has committed there: its
    -- offsets carry the generation of the assignment that they are of, so the broker refuses them. The group's metadata
    -- as it is then would pass. All messages are in the transaction, whichever partition goes to the other.
    local function two_members(mistake)
      local case = { input = kafka.topic(2), output = kafka.topic(1), group = kafka.group(), commit = gate.new() }
      local function member(policy, environment)
        input, output = case.input, case.output
        local made = definition()
        made.source.group, made.source.rdkafka = case.group, { ["heartbeat.interval.ms"] = 300 }
        made.commit.policy = policy
        return engine.start(made, { env = { TIDE_FAULTS = environment } })
      end
      kafka.produce(case.input, inputs.numbers(1, 500))
      case.first = member({ min_messages = 500 }, ("kafka.commit_late=1:gate:%s%s"):format(case.commit.path,
        mistake and ",bug.metadata_late=1:bug" or ""))
      case.commit:reached()
      case.second = member({ min_time = "50ms" }, "")
      local ends = kafka.ends(case.input)
      wait.until_true(function()
        local committed = kafka.committed(case.group, case.input)
        return committed[0] == ends[0] or committed[1] == ends[1]
      end, "a commit of the second one")
      case.commit:open()
      return case
    end

    -- How often the most frequent of them came out.
    local function most_often(case)
      local most = 0
      for number, times in pairs(inputs.seen(case.output)) do
        assert.is_true(number >= 1 and number <= 500)
        most = math.max(most, times)
      end
      return most
    end

    it("a commit that comes after a rebalance is refused; with a planted mistake it is not", function()
      local right, wrong = two_members(false), two_members(true)
      right.first:wait_for("the transaction was aborted")
      inputs.wait_committed(right.group, right.input)
      -- The mistake also sets the committed offset back, to what the first member had sent: nothing waits for it.
      wait.until_true(function() return most_often(wrong) == 2 end, "a message that came out twice")
      for _, case in ipairs { right, wrong } do
        case.first:drain()
        case.second:drain()
      end
      assert.equal(1, most_often(right))
    end)
  end)
end)
