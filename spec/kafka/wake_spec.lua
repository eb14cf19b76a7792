-- SPDX-License-Identifier: MIT
-- kafka/source/wake.c: a consumer that has emptied a queue that was full wakes librdkafka by asking for watermarks.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local wait = require "spec.support.wait"

describe("a consumer", function()
  if not kafka.bootstrap() then return pending("needs a Kafka") end

  after_each(engine.stop_all)

  it("nudges librdkafka while its queue is empty and there is more to fetch, and not when there is not", function()
    local input, output, group, messages = kafka.topic(1), kafka.topic(1), kafka.group(), {}
    for i = 1, 10000 do messages[i] = { value = tostring(i) .. (" "):rep(1000) } end
    kafka.produce(input, messages)
    local run = engine.start({
      source = { topic = input, group = group, start = "earliest",
        rdkafka = { debug = "protocol", ["queued.min.messages"] = 100, ["queued.max.messages.kbytes"] = 64 } },
      produce = { topic = output }, commit = { policy = { min_time = "100ms" } },
    }, { args = { "--log-level", "debug" } })
    local function asked()
      return select(2, run:stderr():gsub("Sent ListOffsetsRequest", ""))
    end
    run:wait_for("partitions assigned")
    inputs.wait_committed(group, input)
    local during = asked()
    assert.is_true(during >= 5, during .. " requests for offsets") -- two of them to find where to begin
    local function second() return run:stderr():match(".*T(%S+)Z %l+ read") end
    local before = second()
    wait.until_true(function() return second() ~= before end, "the next second")
    assert.equal(during, asked())
    run:drain()
  end)
end)
