-- SPDX-License-Identifier: MIT
-- What the engines of one group export adds up: each partition is told by the engine that owns it, and by no other.
local engine = require "spec.support.engine"
local exposition = require "spec.support.exposition"
local http = require "spec.support.http"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local wait = require "spec.support.wait"

local COUNT = 2000

kafka.describe("two engines of one group", { partitions = 4 }, function(t)
  local runs = {}

  local function start()
    local run = engine.start(t:definition {
      task = "function(message) return tide.retry('down') end",
      task_options = { processes = 1, input_block_size = "64KiB", max_input_block_size = "64KiB" },
      settings = { join_timeout = "1s" } }, { args = { "--metrics-addr", "127.0.0.1:0" } })
    runs[#runs + 1] = { run = run, port = tonumber(wait.until_true(function()
      return run:stderr():match "HTTP on http://[%d.]+:(%d+)/"
    end)) }
  end

  -- What both engines export now: { partition = the number of engines that tell its lag }, the sums of lag and read.
  local function look()
    local owners, lag, read = {}, 0, 0
    for _, one in ipairs(runs) do
      local page = exposition.parse(http.get(one.port, "/metrics").body)
      for _, sample in ipairs(page.samples) do
        if sample.name == "tidemill_consumer_lag" then
          owners[sample.labels.partition] = (owners[sample.labels.partition] or 0) + 1
          lag = lag + sample.value
        end
      end
      read = read + exposition.sum(page, "tidemill_messages_read_total")
        - exposition.sum(page, "tidemill_messages_dropped_total")
    end
    return owners, lag, read
  end

  -- Messages that are tried again fill the memory of a step: then reading stops, and what is not read is the lag.
  it("two engines of one group tell each partition once; what is read and the lag are all messages", function()
    start()
    start()
    local messages = inputs.numbers(1, COUNT)
    for _, message in ipairs(messages) do message.value = message.value .. ("x"):rep(3000) end
    kafka.produce(t.input, messages)
    local owners, lag, read
    wait.until_true(function()
      owners, lag, read = look()
      return owners["0"] and owners["1"] and owners["2"] and owners["3"] and lag > 0 and lag + read == COUNT
    end, function() return ("lag %s, read %s to be %d"):format(lag, read, COUNT) end)
    assert.same({ ["0"] = 1, ["1"] = 1, ["2"] = 1, ["3"] = 1 }, owners)
  end)
end)
