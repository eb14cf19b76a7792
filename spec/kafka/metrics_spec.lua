-- SPDX-License-Identifier: MIT
-- The metrics that only a broker can provoke, each at least once (spec/support/metrics_seen.lua); the others are in
-- spec/flow/metrics_spec.lua.
local engine = require "spec.support.engine"
local exposition = require "spec.support.exposition"
local http = require "spec.support.http"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local metrics_seen = require "spec.support.metrics_seen"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

kafka.describe("the metrics of a broker", { partitions = 2 }, function(t)
  local seen = metrics_seen.new()
  local gate = os.tmpname()

  after_each(function() process.resume(kafka.broker_pid()) end)
  teardown(function()
    os.remove(gate)
    assert.same({}, seen:missing "kafka")
  end)

  -- What librdkafka tells of itself is of its last second, and a page shows only the last value: so there is more to do
  -- in each second until all was seen. Nothing is processed until the queue of the consumer was seen to be full, and
  -- until the broker stands still.
  it("a run provokes the metrics of a broker that answers, and keeps the producer waiting for a while", function()
    kafka.produce(t.input, inputs.numbers(1, 20000))
    os.remove(gate)
    local run = engine.start(t:definition {
      task = ("function(message) while not io.open(%q) do end return message end"):format(gate),
      task_options = { processes = 1, max_batch_size = 200 },
      settings = { trust = "full", message_timeout = "10min" } }, { args = { "--metrics-addr", "127.0.0.1:0" } })
    local port = tonumber(wait.until_true(function() return run:stderr():match "HTTP on http://[%d.]+:(%d+)/" end))
    local function wait_for(metrics, more, passed)
      wait.until_true(function()
        if more then kafka.produce(t.input, inputs.numbers(1, 100)) end
        local page = exposition.parse(http.get(port, "/metrics").body)
        for name in pairs(metrics) do
          if (exposition.sum(page, "tidemill_" .. name) or 0) > 0 then metrics[name] = nil end
        end
        return not next(metrics) or passed and run:says(passed)
      end, function() return "a value of " .. next(metrics) end)
    end
    -- After 5 s of that the engine pauses, which empties the queue: that it was seen is then in the report alone.
    wait_for({ consumer_librdkafka_total_queue_size = true }, false, "paused reading")
    process.pause(kafka.broker_pid())
    assert(io.open(gate, "w")):close()
    wait_for { producer_librdkafka_messages = true, producer_librdkafka_message_size_bytes = true }
    process.resume(kafka.broker_pid())
    wait_for({ producer_librdkafka_broker_rtt_seconds_count = true, producer_librdkafka_p99_rtt_seconds = true,
      producer_librdkafka_broker_outbuf_latency_seconds_count = true,
      producer_librdkafka_p99_outbuf_latency_seconds = true }, true)
    inputs.wait_committed(t.group, t.input)
    run:drain()
    seen:add(run:report().metrics)
  end)

  it("a run provokes the metrics of a broker that has transactions", function()
    kafka.produce(t.input, inputs.numbers(1, 5000))
    seen:add(engine.run(t:definition { settings = { delivery = "exactly_once" }, commit = { policy = "immediate" },
      produce = { topic = t.output, max_buffer_size = 500 } }):report().metrics)
  end)

  it("a run provokes the metrics of a broker that refuses messages which are too large", function()
    t.output = kafka.topic(2, { ["max.message.bytes"] = 2000 })
    kafka.produce(t.input, { { value = ("x"):rep(5000) } })
    local run = engine.run(t:definition { dlq = { topic = kafka.topic(1, { ["max.message.bytes"] = 2000 }) } })
    seen:add(run:report().metrics)
  end)
end)
