-- SPDX-License-Identifier: MIT
-- State on a real Kafka: each test has a state of its own, with its own changelog topic and state_dir.
local busted = require "busted"
local kafka = require "spec.support.kafka"

local kafka_state = {}

--- A name unlike any other.
function kafka_state.name()
  return (kafka.group():gsub("[^%w]", "_"))
end

--- Calls each(name, folder) before each test of the block: a name for its state, and the path of a folder that is not
--- there yet. All whose paths begin with that are removed after the test.
function kafka_state.each(each)
  local folder
  busted.before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    each(kafka_state.name(), folder)
  end)
  busted.after_each(function() os.execute("rm -rf " .. folder .. "*") end)
end

--- Waits until a run is killed by the fault point that it has. How much a commit covers is a matter of time, so feed()
--- brings more messages for as long as it lives.
function kafka_state.feed_until_killed(run, feed)
  for _ = 1, 20 do
    local code = run.process:wait(2)
    if code then return assert(code == 137, ("ended with code %d: %s"):format(code, run:stderr())) end
    feed()
  end
  error("is not killed: " .. run:stderr(), 2)
end

return kafka_state
