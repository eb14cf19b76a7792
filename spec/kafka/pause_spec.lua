-- SPDX-License-Identifier: MIT
-- Reading is paused after 5 s of backpressure. librdkafka before 2.4.0 rewinds a partition that is resumed and was not
-- paused to where its assignment began: what comes again is dropped by its offset, and counted.
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"

local COUNT = 5000

kafka.describe("a source that was paused", function(t)
  local gate

  before_each(function()
    gate = os.tmpname()
    os.remove(gate)
  end)
  after_each(function() os.remove(gate) end)

  -- The functions wait at message 100 until the gate is there. Returns how many messages were fetched again, and the
  -- log.
  local function pause(mistake)
    kafka.produce(t.input, inputs.numbers(1, COUNT))
    local run = engine.start(t:definition {
      task = ([[function(message)
        if message.value == "100" then repeat local file = io.open(%q) until file end
        return message
      end]]):format(gate), task_options = { processes = 1, max_batch_size = 200 },
      settings = { message_timeout = "10min", files = { read = "/tmp" } },
    }, { program = faults.folder .. "/tidemill", env = { TIDE_FAULTS = mistake },
      args = { "--until-end", "--log-level", "debug" } })
    run:wait_for "paused reading"
    assert(io.open(gate, "w")):close()
    run:ends_with(0)
    assert.is_true(run:says "reading again")
    inputs.once(t.output, COUNT)
    inputs.in_order(t.output)
    return run:report().metrics["consumer.refetched"], run:stderr()
  end

  it("a source that was paused goes on where it was", function()
    local again, log = pause(false)
    assert.equal(0, again)
    assert.is_nil(log:find("it is resumed again", 1, true))
  end)

  -- What librdkafka does when a rebalance falls into its call: kafka/source/unheard.c.
  it("a partition whose resume was lost, by a planted mistake, is resumed again and goes on", function()
    local again, log = pause "bug.resume_lost=1:errno:5"
    assert.equal(0, again)
    local partitions = select(2, log:gsub("nothing came for 5 s, it is resumed again", ""))
    assert.is_true(partitions >= 1, log)
    assert.is_nil(log:find("nothing came for 10 s", 1, true), log)
  end)

  it("a source that was paused and was not, by a planted mistake, reads again from the beginning", function()
    local _, version = process.run { engine.PROGRAM, "version" }
    if tonumber(version:match "librdkafka 2%.(%d+)") >= 4 then return pending("this librdkafka does not rewind") end
    assert.is_true((pause "bug.resume_unpaused=1:bug") >= 100)
  end)
end)
