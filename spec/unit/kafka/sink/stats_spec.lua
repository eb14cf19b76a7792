-- SPDX-License-Identifier: MIT
-- librdkafka's statistics as metrics: the text is shortened from what 2.0.2 gives.
local ffi = require "ffi"
local C = require("spec.support.headers").declare("shm/counters.h", "kafka/sink/inside.h")

local TEXT = [[{ "msg_cnt": 3, "msg_size": 500, "msg_max": 1000, "msg_size_max": 90000, "brokers": {
  "a:9092/1": { "txretries": %d, "int_latency": { "p99": 5000 },
    "rtt": { "avg": 2000, "cnt": 4, "p99": 7000 }, "outbuf_latency": { "avg": 50, "cnt": 4 } },
  "b:9092/2": { "txretries": 1,
    "rtt": { "avg": 9000, "cnt": 1, "p99": 9000 }, "outbuf_latency": { "avg": 0, "cnt": 0 } } } }]]

describe("librdkafka's statistics", function()
  local sink, counters

  before_each(function()
    counters = ffi.gc(C.tide_counters_new(1), C.tide_counters_free)
    sink = ffi.new "struct tide_kafka_sink"
    sink.counters = counters
  end)

  local function seen(name) return C.tide_counters_get(counters, 0, C["TIDE_M_PRODUCER_" .. name]) end

  it("librdkafka's statistics are gauges of the queue, and windows of all brokers in seconds", function()
    C.tide_kafka_sink_stats(sink, TEXT:format(0))
    assert.same({ 3, 500 }, { seen("QUEUE_MESSAGES").last, seen("QUEUE_BYTES").last })
    assert.same({ 5, 0.009 }, { tonumber(seen("RTT").count), seen("RTT").max })
    assert.is_true(math.abs(seen("RTT").sum - 0.017) < 1e-9)
    assert.equal(4, tonumber(seen("OUTBUF_LATENCY").count))
  end)

  it("librdkafka's statistics are gauges of the slowest broker, and of what the producer takes at most", function()
    C.tide_kafka_sink_stats(sink, TEXT:format(0))
    assert.same({ 0.009, 0.005, 0 }, { seen("P99_RTT").last, seen("P99_INT_LATENCY").last,
      seen("P99_OUTBUF_LATENCY").last })
    assert.same({ 1000, 90000 }, { seen("MAX_MESSAGES").last, seen("MAX_BYTES").last })
  end)

  it("librdkafka's statistics of messages without a timeout have no p99_int_latency", function()
    C.tide_kafka_sink_stats(sink, (TEXT:gsub('"int_latency": { ', '%0"min": -9223372004811548020, '):format(0)))
    assert.equal(0, tonumber(seen("P99_INT_LATENCY").count))
    assert.equal(1, tonumber(seen("P99_RTT").count))
  end)

  it("librdkafka's statistics count what was sent again once, though librdkafka tells the total every"
    .. " second", function()
    for _, retries in ipairs { 0, 5, 5, 7 } do C.tide_kafka_sink_stats(sink, TEXT:format(retries)) end
    assert.equal(8, tonumber(seen("RETRIES").count))
  end)

  it("librdkafka's statistics that are no JSON change nothing", function()
    C.tide_kafka_sink_stats(sink, "{")
    assert.equal(0, tonumber(seen("QUEUE_MESSAGES").count))
  end)
end)
