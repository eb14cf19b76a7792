-- SPDX-License-Identifier: MIT
-- The limits that need a broker, each provoked alone; the others are in spec/flow/verdict_spec.lua. The verdict is that
-- of the report, on the whole run.
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"

kafka.describe("the limit of a whole run on Kafka", { partitions = 1 }, function(t)
  local function verdict_of(definition, count, options)
    kafka.produce(t.input, inputs.numbers(1, count))
    return engine.run(t:definition(definition), options):report().verdict
  end

  local function assert_limit(limit, verdict)
    assert.equal(limit, verdict.limit, verdict.text)
    assert.is_string(verdict.advice)
    assert.equal("now", verdict.procedure[4].state)
  end

  it("is broker where the producer may hold ten messages, and sends each 40 ms", function()
    assert_limit("broker", verdict_of({ produce = { topic = t.output, max_buffer_size = 10,
      rdkafka = { ["linger.ms"] = 40 } } }, 1000))
  end)

  -- The requests that end it are 100 ms late, whatever the brokers need; a transaction has some 500 messages. It also
  -- makes the run last for more than three seconds: a backlog that is gone by then looks as if it never was.
  it("is commit where the end of each transaction takes longer than all else", function()
    assert_limit("commit", verdict_of({ settings = { delivery = "exactly_once" },
      produce = { topic = t.output, max_buffer_size = 505 },
      task_options = { processes = 1, max_batch_size = 101, eager = false },
      commit = { policy = "immediate" } }, 20000,
      { program = faults.folder .. "/tidemill", env = { TIDE_FAULTS = "kafka.commit_late=1+:delay:100" } }))
  end)
end)
