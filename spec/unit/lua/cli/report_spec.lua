-- SPDX-License-Identifier: MIT
-- What is written at the end and once a second, on an engine that is only numbers.
local cjson = require "cjson"
local json = require "tidemill.cli.json"
local progress = require "tidemill.cli.progress"
local report = require "tidemill.cli.report"

local function fake(rows)
  return {
    totals = function()
      return { read = 9007199254740993, produced = 3, produced_from = 2, filtered = 1, dead_lettered = 0, dropped = 0,
        in_flight = 4, seconds = 0.1, lag = -1, lag_seconds = -1 }
    end,
    counter = function(_, row, constant)
      local all = { count = 0, sum = 0, min = 1, max = 5, last = 0, p50 = 2, p99 = 4 }
      for _, one in ipairs(type(row) == "table" and row or { row }) do
        all.count = all.count + (constant == "TIDE_M_BATCH_BACKPRESSURE" and rows[one] or one)
        all.sum, all.last = all.sum + 10, all.last + one + 1
      end
      return all
    end,
    lags = function()
      return { { topic = "in", partition = 3, messages = 12, seconds = 0.5 },
        { topic = "in", partition = 4, seconds = 9 } }
    end,
    slow_messages = function()
      return { { topic = "in", partition = 3, offset = 5, seconds = 0.2, age = 1, row = 3 } }
    end,
  }
end

local function plan(kinds)
  local steps = {}
  for i, kind in ipairs(kinds) do steps[i] = { kind = "TIDE_STEP_" .. kind, pool = i - 1 } end
  return { tables = { steps = steps } }
end

local PREFIX = "strategies.run_task_with_multiprocessing."

describe("json", function()
  it("json keeps whole numbers whole and fractions exact", function()
    assert.equal("9007199254740992", json.encode(2 ^ 53))
    assert.equal("1000000000000000000", json.encode(1e18))
    assert.equal("0.1", json.encode(0.1))
    assert.equal(1 / 3, tonumber(json.encode(1 / 3)))
    assert.equal("null", json.encode(0 / 0))
    assert.equal("null", json.encode(math.huge))
  end)

  it("json escapes texts and sorts names", function()
    assert.equal('{\n  "a": "\\"\\\\\\n\\u0001",\n  "b": {}\n}', json.encode { b = {}, a = '"\\\n\1' })
    assert.same({ b = true, a = { c = "x" } }, cjson.decode(json.encode { b = true, a = { c = "x" } }))
  end)

  it("json writes lists, and those that are empty where they are named", function()
    assert.equal('{\n  "a": [\n    1,\n    {\n      "b": []\n    }\n  ],\n  "c": {}\n}',
      json.encode({ a = { 1, { b = {} } }, c = {} }, { b = true }))
  end)
end)

describe("a report", function()
  it("a report has the totals and every metric by its plain name", function()
    local path = os.tmpname()
    assert.is_nil(report.write(path, fake { 7 }, plan { "TASK" }))
    local file = assert(io.open(path))
    local text = file:read("*a")
    file:close()
    os.remove(path)
    assert.is_truthy(text:find('"read": 9007199254740992', 1, true))
    local read = cjson.decode(text)
    assert.equal(2, read.produced_from)
    assert.equal(7, read.metrics[PREFIX .. "batch.backpressure"])
    assert.same({ count = 1, sum = 10, min = 1, max = 5, p50 = 2, p99 = 4 }, read.metrics[PREFIX .. "batch.size.msg"])
    assert.equal(2, read.metrics[PREFIX .. "processes"].last)
    assert.equal(1, read.metrics[PREFIX .. "batch.close{reason=time}"])
    assert.equal(0, read.metrics["consumer.pause"])
  end)

  it("a report tells several steps apart", function()
    local made = report.of(fake { 7, 0, 8 }, plan { "TASK", "NOOP", "TASK" })
    local metrics = made.metrics
    assert.equal(2, made.slow_messages[1].step)
    assert.equal(7, metrics[PREFIX .. "batch.backpressure{step=1}"])
    assert.equal(8, metrics[PREFIX .. "batch.backpressure{step=2}"])
    assert.equal(15, metrics[PREFIX .. "batch.backpressure"])
    assert.equal(3, metrics[PREFIX .. "batch.close{reason=time,step=2}"])
    assert.same({ 2, 4, 4 }, { metrics[PREFIX .. "processes{step=1}"].last, metrics[PREFIX .. "processes{step=2}"].last,
      metrics[PREFIX .. "batch.size.msg"].count })
  end)

  it("a report gives several steps together too: of a histogram all values, of a gauge the sum of the"
    .. " present ones", function()
    local metrics = report.of(fake { 7, 0, 8 }, plan { "TASK", "NOOP", "TASK" }).metrics
    assert.equal(20, metrics[PREFIX .. "batch.size.msg"].sum)
    assert.same({ last = 6 }, metrics[PREFIX .. "processes"])
  end)

  it("a report gives the lag of each partition, as far as it is known", function()
    local metrics = report.of(fake { 7 }, plan { "TASK" }).metrics
    assert.equal(12, metrics["consumer.lag{topic=in,partition=3}"])
    assert.equal(0.5, metrics["consumer.lag.seconds{topic=in,partition=3}"])
    assert.is_nil(metrics["consumer.lag{topic=in,partition=4}"])
    assert.equal(9, metrics["consumer.lag.seconds{topic=in,partition=4}"])
    assert.is_number(metrics["consumer.lag"].count)
  end)

  it("a report says why it cannot be written", function()
    local reason, code = report.write("/no/such/folder/report.json", fake { 1 }, plan { "TASK" })
    assert.equal("cannot write /no/such/folder/report.json: No such file or directory", reason)
    assert.equal(78, code)
    assert.same({ reason, code }, { report.check("/no/such/folder/report.json") })
    assert.equal(75, select(2, report.write("/dev/full", fake { 1 }, plan { "TASK" })))
  end)
end)

describe("progress", function()
  local totals = { read = 1234567, produced = 1000, filtered = 99, dead_lettered = 0, in_flight = 12, lag = 5,
    lag_seconds = 1.5, seconds = 2 }

  it("progress is one line with rate, lag, in flight, and batches against processes", function()
    assert.equal("read 1,234,567, produced 1,000, filtered 99, 450,000/s, lag 5 (1.5 s), in flight 12, batches 1 of 2 "
      .. "processes", progress.text(totals, 450000, 1, 2))
  end)

  it("progress names dead letters once there are some, and a lag that is not known", function()
    local other = setmetatable({ dead_lettered = 3, lag = -1 }, { __index = totals })
    assert.equal("read 1,234,567, produced 1,000, filtered 99, dead letters 3, 0/s, lag unknown, in flight 12, "
      .. "batches 0 of 2 processes", progress.text(other, 0, 0, 2))
  end)

  it("progress is told when something changed, once a minute without, and else to who debugs", function()
    local lines = {}
    local shown = progress.new(plan { "TASK" }, function(text, event, fields, debugging)
      lines[#lines + 1] = { text = text, event = event, fields = fields, debugging = debugging }
    end, false)
    local engine = fake { 0 }
    for _ = 1, 61 do shown:show(engine) end
    local told = {}
    for i, line in ipairs(lines) do
      if not line.debugging then told[#told + 1] = i end
    end
    assert.same({ 1, 61 }, told)
    assert.same({ "progress", 4, 9007199254740992, 3 },
      { lines[1].event, lines[1].fields.in_flight, lines[1].fields.read, lines[1].fields.produced })
    assert.is_nil(lines[1].fields.lag) -- not known
    engine.totals = function() return setmetatable({ read = 1 }, { __index = totals }) end
    shown:show(engine)
    assert.same({ false, 5 }, { lines[62].debugging, lines[62].fields.lag })
    shown:finish(engine, "stopped")
    assert.same({ "stopped", 2 }, { lines[63].event, lines[63].fields.seconds })
    assert.is_table(cjson.decode("{" .. json.members(lines[63].fields) .. "}"))
  end)

  it("progress gives the rate since the last line to the log, and the mean at the end", function()
    local lines = {}
    local shown = progress.new(plan { "TASK" }, function(text) lines[#lines + 1] = text end, false)
    local engine = fake { 0 }
    local read = 0
    engine.totals = function() return setmetatable({ read = read }, { __index = totals }) end
    read = 1000
    shown:show(engine)
    read = 3000
    shown:show(engine)
    shown:finish(engine, "done")
    assert.is_truthy(lines[1]:find(" 1,000/s", 1, true))
    assert.is_truthy(lines[2]:find(" 2,000/s", 1, true))
    assert.equal("done: read 3,000, produced 1,000, filtered 99, dead letters 0 in 2.0 s, 1,500/s", lines[3])
  end)
end)
