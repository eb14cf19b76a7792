-- SPDX-License-Identifier: MIT
-- One snapshot, and one page of metrics, of those of several engines.
local merge = require "tidemill.cli.engines.merge"
local page = require "tidemill.cli.engines.page"
local exposition = require "spec.support.exposition"

local TASK = "strategies.run_task_with_multiprocessing."

-- The snapshot of an engine that has read so many messages.
local function seen(read, more)
  local made = {
    totals = { read = read, produced = read - 10, produced_from = read - 10, filtered = 0, dead_lettered = 0,
      dropped = 0, in_flight = 10, seconds = 2, lag = 5, lag_seconds = 1 },
    rates = { read = read / 2, produced = 1, filtered = 0, dead_lettered = 0 },
    verdict = { limit = "none", since = 1, text = "there is no limit", evidence = {}, procedure = {} },
    steps = { { number = 1, kind = "run_task_with_multiprocessing", stage = "s", processes = 2, batches_in_progress = 1,
      sizes = { max_batch_size = read, auto = { processes = true } }, closes = { size = 1 }, overflow = { input = 0 },
      backpressure = 1, workers = { { slot = 0, pid = 1 }, { slot = 1, pid = 2 } } } },
    partitions = { { topic = "t", partition = read % 7, lag = 5, lag_seconds = 1 } },
    dead_letters = { total = 1, reasons = { error = 1 }, last = { { time = read } } },
    lookups = { { name = "users.csv", rows = read } },
    slow_messages = { { topic = "t", partition = 0, offset = 1, seconds = read } },
    metrics = { ["consumer.run.count"] = read, ["consumer.lag"] = { last = 5, count = 1, sum = 5, min = 5, max = 5 },
      ["consumer.lag.seconds"] = { last = read, count = 1, sum = 1, min = 1, max = 1 },
      [TASK .. "batch.size.msg"] = { count = 1, sum = read, min = read, max = read, p50 = read, p99 = read } },
  }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

local function engine(number, snapshot, more)
  local one = { number = number, state = "RUNNING", pid = number * 100, life = 1, losses = 0, ready = true,
    snapshot = snapshot }
  for name, value in pairs(more or {}) do one[name] = value end
  return one
end

local function whole_of(...)
  return merge.snapshot({ ... }, { name = "p", pid = 1, state = "reading", ready = true, time = 1, uptime = 1 })
end

describe("the snapshot of several engines", function()
  it("the snapshot of several engines has the sums of totals, rates and counters", function()
    local whole = whole_of(engine(1, seen(100)), engine(2, seen(200)))
    assert.same({ 300, 280, 20, 2, 10, 1 }, { whole.totals.read, whole.totals.produced, whole.totals.in_flight,
      whole.totals.seconds, whole.totals.lag, whole.totals.lag_seconds })
    assert.equal(150, whole.rates.read)
    assert.equal(300, whole.metrics["consumer.run.count"])
    assert.same({ count = 2, sum = 300, min = 100, max = 200, p50 = 200, p99 = 200 },
      whole.metrics[TASK .. "batch.size.msg"])
  end)

  it("the snapshot of several engines has the sum of gauges, and the largest of those in seconds", function()
    local whole = whole_of(engine(1, seen(100)), engine(2, seen(200)))
    assert.equal(10, whole.metrics["consumer.lag"].last)
    assert.equal(200, whole.metrics["consumer.lag.seconds"].last)
  end)

  it("the snapshot of several engines has the sums of their canaries, and the share once", function()
    local function trying(compared, differing)
      local share = { last = 0.05, count = 1, sum = 0.05, min = 0.05, max = 0.05 }
      return seen(100, { revision = 1, reload = { state = "canary",
        canary = { share = 0.05, compared = compared, differing = differing, rejected = 1 } },
        metrics = { ["consumer.canary.share"] = share, ["consumer.canary.compared"] = compared } })
    end
    local whole = whole_of(engine(1, trying(40, 2)), engine(2, trying(60, 3)),
      engine(3, seen(100, { revision = 1, reload = { state = "none" } })))
    assert.same({ state = "canary", canary = { share = 0.05, compared = 100, differing = 5, rejected = 2 } },
      whole.reload)
    assert.equal(0.05, whole.metrics["consumer.canary.share"].last)
    assert.equal(100, whole.metrics["consumer.canary.compared"])
  end)

  local function reloaded(number, last, more)
    return engine(number, seen(100, { revision = last and last.number + 1 or 1,
      reload = { state = "none", last = last } }), more)
  end

  it("the snapshot of several engines has the reload that all of them have come to, and the failure of any", function()
    local done, failed = { number = 2, outcome = "done" }, { number = 3, outcome = "failed", text = "why" }
    local whole = whole_of(reloaded(1, done), reloaded(2, failed))
    assert.same({ number = 2, outcome = "failed", text = "why", engine = 2 }, whole.reload.last)
    assert.equal(3, whole.revision)
    assert.is_nil(whole_of(reloaded(1, done), reloaded(2, nil)).reload.last)
  end)

  it("the snapshot of several engines has no reload and no revision of an engine that has ended", function()
    local whole = whole_of(reloaded(1, { number = 2, outcome = "done" }), reloaded(2, nil, { state = "ENDED" }))
    assert.same({ 2, "done", 3 }, { whole.reload.last.number, whole.reload.last.outcome, whole.revision })
    whole = whole_of(reloaded(1, nil, { state = "ENDED" }))
    assert.is_nil(whole.reload)
    assert.is_nil(whole.revision)
  end)

  it("the snapshot of several engines has no reload that an engine which is started again may not have come to",
    function()
      local function number_with(...)
        local last = whole_of(...).reload.last
        return last and last.number
      end
      local done = { number = 2, outcome = "done" }
      for _, state in ipairs { "BACKOFF", "STARTING" } do
        local lost = engine(1, nil, { state = state, reloaded = 1 })
        assert.equal(1, number_with(lost, reloaded(2, done)))
        assert.equal(1, number_with(reloaded(2, done), lost))
        assert.is_nil(number_with(reloaded(1, done), engine(2, nil, { state = state })))
      end
      assert.equal(2, number_with(reloaded(1, done), engine(2, nil, { state = "ENDED" })))
      assert.equal(2, done.number) -- the snapshot of the engine is as it was
    end)

  it("the snapshot of several engines has the message that has been tried again for longest in any of them", function()
    local one, two, three = seen(1), seen(2), seen(3)
    two.steps[1].retry, three.steps[1].retry = { offset = 2, seconds = 5 }, { offset = 3, seconds = 4 }
    assert.equal(2, whole_of(engine(1, one), engine(2, two), engine(3, three)).steps[1].retry.offset)
    assert.is_nil(whole_of(engine(1, seen(1))).steps[1].retry)
  end)

  it("the snapshot of several engines has the watermark that is furthest behind, and all timers that wait", function()
    local one, two, three = seen(1), seen(2), seen(3)
    one.steps[1].event_time = { watermark_lag = 5, waiting_timers = 10 }
    two.steps[1].event_time = { watermark_lag = 9, waiting_timers = 1 }
    assert.same({ watermark_lag = 9, waiting_timers = 11 },
      whole_of(engine(1, one), engine(2, two), engine(3, three)).steps[1].event_time)
    assert.is_nil(whole_of(engine(1, seen(1))).steps[1].event_time)
  end)

  it("the snapshot of several engines names the engine of each worker, partition and slow message", function()
    local whole = whole_of(engine(1, seen(100)), engine(2, seen(201)))
    local step = whole.steps[1]
    assert.same({ 4, 2, 2, 201 }, { step.processes, step.batches_in_progress, step.closes.size,
      step.sizes.max_batch_size })
    local workers = {}
    for i, worker in ipairs(step.workers) do workers[i] = worker.engine .. "." .. worker.slot end
    assert.same({ "1.0", "1.1", "2.0", "2.1" }, workers)
    assert.same({ 1, 2 }, { whole.partitions[1].engine, whole.partitions[2].engine })
    assert.same({ "users.csv", 1 }, { whole.lookups[1].name, whole.lookups[1].engine })
    assert.equal(2, whole.lookups[2].engine)
    assert.same({ 201, 2 }, { whole.slow_messages[1].seconds, whole.slow_messages[1].engine })
    assert.same({ 2, 2, 201 }, { whole.dead_letters.total, whole.dead_letters.reasons.error,
      whole.dead_letters.last[1].time })
  end)

  it("the snapshot of several engines tells what each of them does", function()
    local whole = whole_of(engine(1, seen(100)), engine(2, nil, { state = "BACKOFF", losses = 3, ready = false }))
    assert.same({ 2, "BACKOFF", 3, false }, { whole.engines[2].number, whole.engines[2].state, whole.engines[2].losses,
      whole.engines[2].ready })
    assert.same({ 100, "none" }, { whole.engines[1].totals.read, whole.engines[1].verdict.limit })
  end)

  it("the snapshot of several engines keeps what one had counted that was lost; its messages in flight are dropped",
    function()
      local lost = merge.lost(merge.lost(nil, seen(100)), seen(50))
      assert.same({ 150, 20, 0 }, { lost.totals.read, lost.totals.dropped, lost.totals.in_flight })
      local whole = whole_of(engine(1, seen(100)), engine(2, seen(30), { lost = lost }))
      assert.equal(280, whole.totals.read)
      assert.equal(10, whole.totals.lag)
      local totals = whole.totals
      assert.equal(totals.read, totals.produced_from + totals.filtered + totals.dead_lettered + totals.dropped
        + totals.in_flight)
      assert.equal(280, whole.metrics["consumer.run.count"])
      assert.equal(10, whole.metrics["consumer.lag"].last)
      assert.equal(180, whole.engines[2].totals.read)
    end)

  it("the snapshot of several engines has the verdict of the one that is furthest behind, and names it", function()
    local bound = seen(10, { verdict = { limit = "workers", step = 1, since = 3, text = "the workers are the limit",
      advice = "raise processes", evidence = { busy = 1 }, procedure = {} } })
    bound.totals.lag = 1e6
    local verdict = whole_of(engine(1, seen(100)), engine(2, bound)).verdict
    assert.same({ "workers", 1, 2, "raise processes" }, { verdict.limit, verdict.step, verdict.engine, verdict.advice })
    assert.equal("engine 2, which is furthest behind (1 of 2 are limited like that): the workers are the limit",
      verdict.text)
    verdict = whole_of(engine(1, seen(100)), engine(2, seen(200))).verdict
    assert.equal("all 2 engines alike; of engine 2: there is no limit", verdict.text)
  end)

  it("the snapshot of several engines is there before any of them has one", function()
    local whole = whole_of(engine(1, nil, { state = "STARTING" }))
    assert.same({ 0, 0, "none" }, { whole.totals.read, whole.rates.read, whole.verdict.limit })
  end)
end)

describe("the page of several engines", function()
  local function text_of(number)
    return ([[
# HELP a_total Counts "a".
# TYPE a_total counter
a_total{engine="%d"} %d
# HELP b Is b.
# TYPE b gauge
b{engine="%d",le="# HELP x"} 1
]]):format(number, number * 10, number)
  end

  it("the page of several engines has each family once, with the series of all of them", function()
    local text = page.merge({ text_of(1), text_of(2) })
    assert.equal([[
# HELP a_total Counts "a".
# TYPE a_total counter
a_total{engine="1"} 10
a_total{engine="2"} 20
# HELP b Is b.
# TYPE b gauge
b{engine="1",le="# HELP x"} 1
b{engine="2",le="# HELP x"} 1
]], text)
  end)

  it("the page of several engines tells which of them reads, and how often each was lost", function()
    local text = page.of_engines({ { number = 1, state = "RUNNING", losses = 0 }, { number = 2, state = "BACKOFF",
      losses = 4 } }, "p", { prefix = "tidemill", tags = { { name = "region", value = "eu" } } })
    local read, values = exposition.parse(text), {}
    for _, sample in ipairs(read.samples) do
      assert.same({ "p", "eu" }, { sample.labels.pipeline, sample.labels.region })
      values[sample.name .. sample.labels.engine] = sample.value
    end
    assert.same({ tidemill_engine_up1 = 1, tidemill_engine_up2 = 0, tidemill_engine_lost_total1 = 0,
      tidemill_engine_lost_total2 = 4 }, values)
  end)
end)
