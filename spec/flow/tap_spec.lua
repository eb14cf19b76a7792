-- SPDX-License-Identifier: MIT
-- Taps of the engine (engine/chain/tap.h): what is shown of messages, whatever becomes of them, and what it may cost.
local cjson = require "cjson"
local flow = require "spec.support.flow"
local taps = require "tidemill.run.tap"
local tide = require "tidemill"

local function same(message) return message end

describe("a tap", function()
  local fixture = flow.fixture()

  -- A chain of steps with messages and an armed tap; it has not begun to read.
  local function tapped(steps, messages, options)
    options = options or {}
    local run = fixture.new { steps = steps, dlq = true, message_timeout = options.message_timeout,
      topics = options.topics, max_buffered = options.max_buffered }
    for _, message in ipairs(messages) do run:push(message) end
    local tap = assert(taps.arm(run.engine, { step = options.step, rate = options.rate or 1000,
      value_limit = options.value_limit or 16384, conditions = options.conditions }))
    return tap, run
  end

  local function samples_of(tap)
    local samples = {}
    for text in function() return tap:take() end do samples[#samples + 1] = cjson.decode(text) end
    return samples
  end

  -- Runs it to the end; returns the samples, the tap and the chain.
  local function through(...)
    local tap, run = tapped(...)
    assert(run:finish().kind == "done", run.last.text)
    return samples_of(tap), tap, run
  end

  local function fates_of(samples)
    local fates = {}
    for i, sample in ipairs(samples) do fates[i] = sample.before.value .. " " .. sample.fate end
    table.sort(fates)
    return fates
  end

  it("shows a message as it came in and what differs in its result", function()
    local step = { function(m)
      m.value = m.value .. "!"
      m.headers = { { "h", "1" }, { "seen", "yes" } }
      return m
    end }
    local samples = through({ step }, { { value = "a", key = "k", headers = { { "h", "1" } }, timestamp = 5 } })
    assert.same({ { step = 1, stage = "run_task_with_multiprocessing", fate = "forwarded", topic = "in", partition = 0,
      offset = 0, timestamp = 5, before = { key = "k", headers = { { name = "h", value = "1" } }, value = "a" },
      results = 1, after = { { changed = { "headers", "value" }, value = "a!",
        headers = { { name = "h", value = "1" }, { name = "seen", value = "yes" } } } } } }, samples)
  end)

  it("shows a result that is the message itself as one in which nothing is changed", function()
    local samples = through({ { same } }, { { value = "a" } })
    assert.same({ { changed = {} } }, samples[1].after)
  end)

  it("names every fate: forwarded, filtered, rejected", function()
    local step = { function(m)
      if m.value == "drop" then return nil end
      if m.value == "reject" then return tide.reject "no good" end
      if m.value == "error" then error "broken" end
      return m
    end, crash_retries = 0 }
    local samples = through({ step }, { { value = "drop" }, { value = "keep" }, { value = "reject" },
      { value = "error" } })
    assert.same({ "drop filtered", "error rejected", "keep forwarded", "reject rejected" }, fates_of(samples))
    local by_value = {}
    for _, sample in ipairs(samples) do by_value[sample.before.value] = sample end
    assert.equal("rejected", by_value.reject.reason)
    assert.equal("no good", by_value.reject.error)
    assert.equal("error", by_value.error.reason)
    assert.matches("tap_spec.lua:%d+: broken", by_value.error.error)
    assert.is_string(by_value.error.traceback)
    assert.equal(1, by_value.error.attempts)
  end)

  it("shows a message that workers crash on as rejected, with the cause", function()
    local samples = through({ { function() os.exit(3) end, crash_retries = 0 } },
      { { value = "crash" } })
    assert.equal(1, #samples)
    assert.equal("rejected crash exit 3", samples[1].fate .. " " .. samples[1].reason .. " " .. samples[1].cause)
  end)

  it("shows a message that is tried again, those that wait after it, and all of them once they are forwarded",
  function()
    local tries = 0
    local step = { function(m)
      tries = tries + 1
      if m.value == "1" and tries == 1 then return tide.retry "down" end
      return m
    end }
    local samples = through({ step }, { { value = "1" }, { value = "2" } })
    assert.same({ "1 forwarded", "1 retry", "2 forwarded", "2 waits" }, fates_of(samples))
    assert.equal("down", samples[1].error)
  end)

  it("shows messages of a step that accumulates, and the result with the last of them", function()
    local step = { { kind = "reduce", form = "batch" }, reduce = true, eager = false, max_batch_size = 3 }
    local samples = through({ step }, { { value = "1" }, { value = "2" }, { value = "3" } })
    assert.same({ "1 accumulated", "2 accumulated", "3 forwarded" }, fates_of(samples))
  end)

  it("counts all results of a message and shows the first four, however many portions they take", function()
    local step = { function(m)
      if m.value ~= "many" then return m end
      local list = {}
      for i = 1, 300 do list[i] = { value = tostring(i) } end
      return tide.many(list)
    end }
    local samples = through({ step }, { { value = "first" }, { value = "many" }, { value = "last" } })
    assert.equal(3, #samples)
    assert.equal(300, samples[2].results)
    local values = {}
    for i, result in ipairs(samples[2].after) do values[i] = result.value end
    assert.same({ "1", "2", "3", "4" }, values)
    assert.equal(1, samples[3].results)
  end)

  it("has the fate of every message right where portions of a batch end anywhere", function()
    local messages, step = {}, { function(m)
      local number = tonumber(m.value)
      if number % 3 == 0 then return tide.reject "third" end
      if number % 5 == 0 then return nil end
      return m
    end }
    for i = 1, 700 do messages[i] = { value = tostring(i) } end
    local samples, tap, run = through({ step }, messages, { rate = 1000 })
    assert.equal(700, #samples)
    for _, sample in ipairs(samples) do
      local number = tonumber(sample.before.value)
      assert.equal(number % 3 == 0 and "rejected" or number % 5 == 0 and "filtered" or "forwarded", sample.fate)
    end
    assert.same({ passed = 700, examined = 700, matched = 700, sampled = 700, lost = 0 }, tap:counts())
    assert.is_true(run:balanced())
  end)

  it("keeps the bytes of odd messages: null, empty, binary, control characters", function()
    local tap, run = tapped({ { same } }, { { key = "\255\0", headers = { { "\254", "\1" }, { "n" } } },
      { value = "", key = "" }, { value = "\0\"\\\n\127" }, { value = "\255" } })
    run:finish()
    local texts = {}
    for text in function() return tap:take() end do texts[#texts + 1] = text:match '"before":(%b{})' end
    assert.same({ '{"key_base64":"/wA=","headers":[{"name_base64":"/g==","value":"\\u0001"},'
        .. '{"name":"n","value":null}],"value":null}',
      '{"key":"","headers":[],"value":""}', '{"key":null,"headers":[],"value":"\\u0000\\"\\\\\\n\\u007f"}',
      '{"key":null,"headers":[],"value_base64":"/w=="}' }, texts)
  end)

  it("cuts a long value between two characters and says how long it is", function()
    local samples = through({ { same } }, { { value = ("ä"):rep(100), key = ("k"):rep(30),
      headers = { { "a", ("h"):rep(100) }, { "b", "1" } } } }, { value_limit = 21 })
    local before = samples[1].before
    assert.same({ ("ä"):rep(10), 200 }, { before.value, before.value_bytes })
    assert.same({ ("k"):rep(21), 30 }, { before.key, before.key_bytes })
    assert.same({ { name = "a", value = ("h"):rep(21), value_bytes = 100 } }, before.headers)
    assert.equal(1, before.headers_left_out)
  end)

  it("of one step shows this step only; without a step it shows all of them, each as its messages come in", function()
    local function append(text) return { function(m) m.value = m.value .. text return m end } end
    local second = through({ append "1", append "2" }, { { value = "a" } }, { step = 2 })
    assert.same({ "a1" }, { second[1].before.value })
    assert.same({ 2, "a12" }, { second[1].step, second[1].after[1].value })
    fixture.run:free()
    local all = through({ append "1", append "2" }, { { value = "a" } })
    assert.same({ { 1, "a1" }, { 2, "a12" } },
      { { all[1].step, all[1].after[1].value }, { all[2].step, all[2].after[1].value } })
  end)

  it("of a step that is not there is refused", function()
    local run = fixture.new { steps = { { same } } }
    local tap, reason = taps.arm(run.engine, { step = 2, rate = 1, value_limit = 1 })
    assert.is_nil(tap)
    assert.equal("there is no step 2 to tap: 1 of the pipeline's steps run in workers", reason)
  end)

  local SOME = { { value = "red one", key = "1", headers = { { "colour", "red" } } },
    { value = "blue one", key = "2", headers = { { "colour", "x" }, { "colour", "blue" } } }, { value = "red two" } }

  local function matched(...)
    local samples, values = through({ { function(m) return m.key ~= "2" and m or nil end } }, SOME,
      { conditions = { ... } }), {}
    for i, sample in ipairs(samples) do values[i] = sample.before.value end
    return values
  end

  it("shows only messages that its conditions hold for: key", function()
    assert.same({ "red one" }, matched { field = "key", text = "1" })
  end)

  it("shows only messages that its conditions hold for: text in the value", function()
    assert.same({ "red one", "red two" }, matched { field = "value", text = "red", contains = true })
  end)

  it("shows only messages that its conditions hold for: any header of a name", function()
    assert.same({ "blue one" }, matched { field = "header", name = "colour", text = "blue" })
  end)

  it("shows only messages that its conditions hold for: topic and range of offsets", function()
    assert.same({ "blue one", "red two" }, matched({ field = "topic", text = "in" },
      { field = "offset", least = 1, most = 2 }))
  end)

  it("shows only messages that its conditions hold for: fate", function()
    assert.same({ "blue one" }, matched { field = "fate", least = taps.fates.filtered, most = taps.fates.filtered })
  end)

  it("shows a message only if all of its conditions hold", function()
    assert.same({ "red two" }, matched({ field = "value", text = "red", contains = true },
      { field = "value", text = "two", contains = true }))
  end)

  it("makes no more samples than its rate, and counts what passed", function()
    local messages = {}
    for i = 1, 500 do messages[i] = { value = tostring(i) } end
    local run = fixture.new { steps = { { same } } }
    for _, message in ipairs(messages) do run:push(message) end
    local tap = assert(taps.arm(run.engine, { rate = 5, value_limit = 100 }))
    run:finish()
    local counts = tap:counts()
    assert.equal(500, counts.passed)
    assert.is_true(counts.sampled >= 5 and counts.sampled < 500, "a rate of 5 gave " .. counts.sampled)
  end)

  it("finds a rare message among many that it does not show", function()
    local run = fixture.new { steps = { { same } } }
    run:push_numbers(5000)
    local tap = assert(taps.arm(run.engine, { rate = 1, value_limit = 100,
      conditions = { { field = "value", text = "4321" } } }))
    run:finish()
    local samples = samples_of(tap)
    assert.equal("4321", samples[1].before.value)
    assert.same({ 5000, 1 }, { tap:counts().passed, tap:counts().matched })
  end)

  it("loses samples that nobody takes, counts them, and loses no message", function()
    local run = fixture.new { steps = { { same } } }
    run:push_numbers(3000)
    local tap = assert(taps.arm(run.engine, { rate = 3000, value_limit = 100 }))
    run:finish()
    local counts = tap:counts()
    assert.same({ passed = 3000, examined = 3000, matched = 3000, sampled = 1024, lost = 1976 }, counts)
    assert.equal(1024, #samples_of(tap))
    assert.equal(3000, run.engine:totals().produced)
    assert.is_true(run:balanced())
  end)

  it("is one of several, each with conditions of its own, and there are at most eight", function()
    local run = fixture.new { steps = { { same } } }
    run:push_numbers(10)
    local list = {}
    for i = 1, taps.MOST do
      list[i] = assert(taps.arm(run.engine, { rate = 10, value_limit = 10,
        conditions = { { field = "value", text = tostring(i) } } }))
    end
    local more, reason = taps.arm(run.engine, { rate = 10, value_limit = 10 })
    assert.is_nil(more)
    assert.equal("8 taps look on already, which is all there may be", reason)
    list[2]:disarm()
    run:finish()
    for i, tap in ipairs(list) do
      if i ~= 2 then assert.same({ i .. " forwarded" }, fates_of(samples_of(tap))) end
    end
  end)
end)
