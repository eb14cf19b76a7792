-- SPDX-License-Identifier: MIT
-- kafka/source/wake.c: a consumer that has emptied a queue that was full wakes librdkafka by asking for watermarks.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local wait = require "spec.support.wait"

kafka.describe("a consumer", function(t)

  it("a consumer nudges librdkafka while its queue is empty and there is more to fetch, and not when"
    .. " there is not", function()
    local messages = {}
    for i = 1, 10000 do messages[i] = { value = tostring(i) .. (" "):rep(1000) } end
    kafka.produce(t.input, messages)
    local run = engine.start(t:definition {
      source = { rdkafka = { debug = "protocol", ["queued.min.messages"] = 100,
        ["queued.max.messages.kbytes"] = 64 } }, commit = { policy = { min_time = "100ms" } },
    }, { args = { "--log-level", "debug" } })
    local function asked()
      return select(2, run:stderr():gsub("Sent ListOffsetsRequest", ""))
    end
    run:wait_for("partitions assigned")
    inputs.wait_committed(t.group, t.input)
    local function until_next_second()
      local function second() return run:stderr():match(".*T(%S+)Z %l+ read") end
      local before = second()
      wait.until_true(function() return second() ~= before end, "the next second")
    end
    until_next_second() -- by then all that was asked is in the log
    local during = asked()
    assert.is_true(during >= 5, during .. " requests for offsets") -- two of them to find where to begin
    until_next_second()
    assert.equal(during, asked())
    run:drain()
  end)
end)
