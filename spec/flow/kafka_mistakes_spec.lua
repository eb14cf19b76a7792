-- SPDX-License-Identifier: MIT
-- A mistake planted in the transactions of the sink, where the simulation does not come (bug.* of engine/base/fault.h):
-- what is right without it is wrong with it.
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local mock_kafka = require "spec.support.mock_kafka"
local wait = require "spec.support.wait"

local TAINTED = "a request that ends a transaction was sent again"

describe("exactly once, with a mock Kafka", function()
  local mock, input, output

  local function start(mistake)
    mock = mock_kafka.start(1)
    input, output = mock:topic(2), mock:topic(2)
    local program = engine.PROGRAM
    engine.PROGRAM = faults.folder .. "/tidemill"
    finally(function() engine.PROGRAM = program end)
    return engine.start({
      source = { topic = input, group = kafka.group(), start = "earliest" }, produce = { topic = output },
      commit = { policy = { min_time = "100ms" } }, settings = { delivery = "exactly_once" },
    }, { env = { TIDE_FAULTS = mistake and mistake .. "=1:bug" or false } })
  end

  after_each(function()
    engine.stop_all()
    mock_kafka.stop_all()
  end)

  for _, mistake in ipairs { false, "bug.taint_ignored" } do
    it(mistake and mistake .. " is found: the producer stays" or "a producer that ended twice is replaced", function()
      local run = start(mistake)
      run:wait_for("partitions assigned")
      mock:fail("end_txn", "coordinator_load_in_progress")
      kafka.produce(input, inputs.numbers(1, 100))
      wait.until_true(function() return run:total("produced") == 100 end, function() return run:stderr() end)
      run:drain()
      assert.equal(not mistake, run:says(TAINTED), run:stderr())
    end)
  end
end)
