-- SPDX-License-Identifier: MIT
-- The answer for Prometheus, of real engines in this process.
local ffi = require "ffi"
local exposition = require "spec.support.exposition"
local installed = require "spec.support.installed"
local list = require "tidemill.metrics.list"
local names = require "tidemill.metrics.names"
local prometheus = require "tidemill.metrics.prometheus"
local testing = require "tidemill.testing"
local tide = require "tidemill"
local types = require "tidemill.plan.types"
local C = testing.C

local TASK = "tidemill_strategies_run_task_with_multiprocessing_"

local function identity(message) return message end

describe("the metrics for Prometheus", function()
  local test

  after_each(function()
    testing.close()
    test = nil
  end)

  local function workers(options)
    options[1], options.processes = options[1] or identity, options.processes or (not options.pool and 1 or nil)
    return tide.run_task_with_multiprocessing(options)
  end

  local function start(...)
    test = testing.steps({ ... })
    return test
  end

  local function snapshot(changes)
    local made = { totals = test:totals(), partitions = {}, metrics = test:metrics(), ready = true, time = 1e12,
      uptime = 5, verdict = { limit = "workers", step = 1 } }
    for name, value in pairs(changes or {}) do made[name] = value end
    return made
  end

  local function page_of(settings, changes)
    local text = prometheus.new(test.engine, test.plan, settings or {}):text(snapshot(changes))
    return exposition.parse(text), text
  end

  local function observe(row, metric, value, times)
    local counters = ffi.cast("struct tide_counters *", C.tide_engine_counters(test.engine.handle))
    C.tide_observe_many(counters, row, "TIDE_M_" .. metric, value, times or 1)
  end

  -- What promtool has against a page.
  local function complaints(text)
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write(text)
    file:close()
    local pipe = io.popen(("%s check metrics <%s 2>&1"):format(installed.promtool(), path))
    local said = pipe:read "*a"
    pipe:close()
    os.remove(path)
    return said
  end

  it("what Prometheus reads has nothing that promtool has anything against, with all kinds of metrics on it", function()
    start(workers { function(m)
      tide.metric.count("orders.late")
      tide.metric.gauge("cache.size", 7)
      tide.metric.timing("lookup", 0.25)
      return m
    end }, workers {}):feed("1", "2", "3"):finish()
    local _, text = page_of({ tags = { { name = "region", value = "eu" } } },
      { partitions = { { topic = "in", partition = 0, lag = 5, lag_seconds = 0.5 } } })
    assert.equal("", complaints(text))
  end)

  it("what Prometheus reads has every metric of the list, from the start, and counters start at 0", function()
    start(workers {}, workers {})
    local page = page_of(nil, { partitions = { { topic = "in", partition = 0, lag = 5, lag_seconds = 0.5 } } })
    for _, family in ipairs(names.families "tidemill") do
      local name = family.kind == "histogram" and family.name .. "_count" or family.name
      local sum = exposition.sum(page, name)
      assert.is_number(sum, name)
      if family.kind ~= "gauge" and not name:find "pool_create" and not name:find "run_create_strategy" then
        assert.is_true(sum == 0 or name:find "consumer" ~= nil, name)
      end
    end
  end)

  it("what Prometheus reads adds up over the steps: there is no series for all of them", function()
    start(workers {}, workers { function(m) return m.value ~= "2" and m or nil end }):feed("1", "2", "3"):finish()
    local page = page_of()
    assert.equal(6, exposition.sum(page, TASK .. "batch_size_msg_sum"))
    assert.equal(3, exposition.sum(page, TASK .. "batch_size_msg_sum", { step = "2" }))
    assert.equal(2, exposition.sum(page, TASK .. "processes"))
    assert.equal(1, exposition.sum(page, "tidemill_strategies_filter_dropped_messages_total"))
    for _, sample in ipairs(page.samples) do
      assert.is_truthy(sample.labels.step or not sample.name:find "_strategies_run_task", sample.series)
    end
    assert.same({ 3, 2, 1 }, { exposition.sum(page, "tidemill_messages_read_total"),
      exposition.sum(page, "tidemill_messages_produced_total"),
      exposition.sum(page, "tidemill_messages_filtered_total") })
  end)

  it("what Prometheus reads has a pool that two steps share once, and its workers that were lost", function()
    local pool = tide.pool { processes = 2 }
    local function crash(m)
      if m.value == "bad" then os.exit(3) end
      return m
    end
    start(workers { crash, pool = pool, crash_retries = 0 }, workers { pool = pool }, workers {})
    test:feed("bad", "good"):finish()
    local page = page_of()
    assert.equal(3, exposition.sum(page, TASK .. "processes"))
    assert.equal(2, exposition.sum(page, TASK .. "processes", { step = "1,2" }))
    assert.equal(1, exposition.sum(page, TASK .. "worker_lost_total"))
    local report = test:metrics()
    assert.equal(3, report["strategies.run_task_with_multiprocessing.processes"].last)
    assert.equal(1, report["strategies.run_task_with_multiprocessing.worker.lost{cause=exit}"])
  end)

  it("what Prometheus reads has cumulative buckets, exact at each bound, for whole numbers too", function()
    start(workers {})
    for _, value in ipairs { 1, 2, 1000, 1023, 1024, 5e9 } do observe(1, "BATCH_SIZE_BYTES", value) end
    for _, value in ipairs { 0, 1e-6, 0.2, 0.3, 5000 } do observe(0, "COMMIT_TIME", value, 2) end
    local page = page_of()
    local function below(name, le) return exposition.sum(page, name .. "_bucket", { le = le }) end
    local size = TASK .. "batch_size_bytes"
    assert.same({ 2, 4, 5, 5, 6 }, { below(size, "255"), below(size, "1023"), below(size, "4095"),
      below(size, "1073741823"), below(size, "+Inf") })
    local time = "tidemill_consumer_commit_time_seconds"
    assert.same({ 4, 6, 8, 10 }, { below(time, "0.125"), below(time, "0.25"), below(time, "0.5"), below(time, "+Inf") })
    assert.equal(10, exposition.sum(page, time .. "_count"))
    assert.equal(2 * 5000.500001, exposition.sum(page, time .. "_sum"))
    local before = {}
    for _, sample in ipairs(page.samples) do
      if sample.labels.le then
        local series = sample.series:gsub(',?le="[^"]*"', "")
        assert.is_true(sample.value >= (before[series] or 0), sample.series)
        before[series] = sample.value
      end
    end
  end)

  it("what Prometheus reads counts times in seconds, and leaves no digit of a large number away", function()
    start(workers {})
    local counters = ffi.cast("struct tide_counters *", C.tide_engine_counters(test.engine.handle))
    C.tide_count(counters, 1, C.TIDE_M_WORKER_BUSY_TIME, 2500000)
    C.tide_count(counters, 1, C.TIDE_M_BATCH_BACKPRESSURE, 123456789012345ULL)
    local page, text = page_of()
    assert.equal(2.5, exposition.sum(page, TASK .. "worker_busy_time_seconds_total"))
    assert.matches('backpressure_total{pipeline="test",step="1"} 123456789012345\n', text)
  end)

  it("what Prometheus reads has the lag of each partition that is owned, in messages and seconds", function()
    start(workers {})
    local exporter = prometheus.new(test.engine, test.plan, {})
    local page = exposition.parse(exporter:text(snapshot { partitions = {
      { topic = "in", partition = 0, lag = 7, lag_seconds = 1.5 }, { topic = "in", partition = 3, lag = 5 } } }))
    assert.equal(12, exposition.sum(page, "tidemill_consumer_lag"))
    assert.equal(5, exposition.sum(page, "tidemill_consumer_lag", { topic = "in", partition = "3" }))
    assert.equal(1.5, exposition.sum(page, "tidemill_consumer_lag_seconds"))
    page = exposition.parse(exporter:text(snapshot { partitions = {} }))
    assert.is_nil(exposition.sum(page, "tidemill_consumer_lag"))
  end)

  it("what Prometheus reads escapes what labels hold, and is UTF-8 whatever a tag holds", function()
    start(workers {})
    local _, text = page_of { tags = { { name = "team", value = 'a"b\\c\nd\255é' } } }
    assert.is_truthy(text:find([[team="a\"b\\c\nd?é"]], 1, true))
    assert.equal("", complaints(text))
  end)

  it("what Prometheus reads has the verdict as one of all limits, and which step it is about", function()
    start(workers {})
    local page = page_of(nil, { verdict = { limit = "output_block", step = 1 } })
    assert.equal(1, exposition.sum(page, "tidemill_verdict"))
    assert.equal(1, exposition.sum(page, "tidemill_verdict", { limit = "output_block" }))
    assert.equal(0, exposition.sum(page, "tidemill_verdict", { limit = "none" }))
    assert.equal(1, exposition.sum(page, "tidemill_verdict_step"))
    assert.equal(1e9 - 5, exposition.sum(page, "tidemill_start_time_seconds"))
  end)

  it("what Prometheus reads has what scripts count; of two with one name the first, and a warning once", function()
    start(workers {})
    local said = {}
    local exporter = prometheus.new(test.engine, test.plan, { warn = function(text) said[#said + 1] = text end })
    local values = { ["script.a.b"] = 3, ["script.size"] = { last = 4, count = 1, sum = 4, min = 4, max = 4 },
      ["script.t"] = { count = 2, sum = 0.5, min = 0.2, max = 0.3 } }
    exporter:render(snapshot { metrics = values })
    values["script.a_b"], values["script.0"] = 9, nil
    values["script.a.A"] = 5
    local page, text = exposition.parse(exporter:text(snapshot { metrics = values })), exporter:text(snapshot {
      metrics = values })
    assert.same({ 3, 4, 0.5, 2, 5 }, { exposition.sum(page, "tidemill_script_a_b_total"),
      exposition.sum(page, "tidemill_script_size"), exposition.sum(page, "tidemill_script_t_seconds_sum"),
      exposition.sum(page, "tidemill_script_t_seconds_count"), exposition.sum(page, "tidemill_script_a_A_total") })
    assert.same({ 'tide.metric: "a_b" is not exported: in Prometheus it would have the name of "a.b", '
      .. "tidemill_script_a_b_total; rename one of them" }, said)
    assert.equal("summary", exposition.parse(text).types.tidemill_script_t_seconds)
  end)

  it("what Prometheus reads has Arroyo's own names when the prefix is arroyo", function()
    start(workers {}):feed("1"):finish()
    local page, text = page_of { prefix = "arroyo" }
    local arroyo = "arroyo_strategies_run_task_with_multiprocessing_"
    assert.same({ 1, 1, 1 }, { exposition.sum(page, arroyo .. "batch_size_msg_sum"), exposition.sum(page, arroyo
      .. "processes"), exposition.sum(page, arroyo .. "pool_create") })
    for _, name in ipairs { "sigchld_detected", "arroyo_processing_strategies_healthcheck_touch",
      "arroyo_consumer_run_count", "arroyo_consumer_stuck", "arroyo_consumer_dlq_buffer_len",
      arroyo .. "batch_input_overflow", "arroyo_consumer_latency_count", "arroyo_producer_librdkafka_message_count",
      "arroyo_messages_read_total" } do
      assert.is_number(exposition.sum(page, name), name)
    end
    assert.is_number(exposition.sum(page, "arroyo_consumer_commit_status", { status = "success" }))
    assert.equal("gauge", page.types.arroyo_producer_librdkafka_broker_txretries)
    for line in complaints(text):gmatch "[^\n]+" do assert.matches("suffix", line) end
  end)

  it("no tag may have the name of a label that a metric has itself", function()
    for _, metric in ipairs(list) do
      for label in pairs(metric.labels or {}) do assert.is_true(types.metric_labels[label], label) end
    end
    local _, problem = types.parse({ name = "tags", type = "tags" }, { step = "1" })
    assert.matches("the metrics have a label step themselves", problem)
  end)
end)
