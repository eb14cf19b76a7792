-- SPDX-License-Identifier: MIT
-- Dead letters on their way (chain/dlq.h): kept when their topic does not take them, tried again, never lost.
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local chains = require "spec.support.chain"
local child = require "spec.support.child"
local batches = require "spec.support.batch"
local C = chains.C

local chain, dlq, sink, report

local function new(options)
  chain = chains.new()
  local plan, status = ffi.new "struct tide_dlq_plan", ffi.new "int[1]"
  plan.kind, plan.target = C.TIDE_DLQ_TOPIC, "letters"
  plan.max_invalid_ratio, plan.max_consecutive_count = -1, -1
  for name, value in pairs(options or {}) do plan[name] = value end
  dlq = ffi.gc(C.tide_dlq_new(plan, chain.c, status), C.tide_dlq_free)
  sink = C.tide_memory_sink_new(ffi.new("struct tide_sink_plan", { max_messages = 100 }))
  C.tide_dlq_sink(dlq, sink)
  report = ffi.new "struct tide_report[100]"
end

-- The step gives its reference back, so that only the dead letter has one.
local function reject(value, partition, only_copy)
  local message = chain:read({ value = value }, partition)
  local status = C.tide_dlq_reject(dlq, ffi.new("struct tide_reject", { message = message, reason = "error",
    only_copy = only_copy or false }))
  if status == C.TIDE_OK then chain:done(message) end
  return status
end

-- Hands on what the sink reports. too_large: refused ones are, by their size.
local function settle(too_large)
  local count, status = tonumber(sink.ops.reports(sink, report, 100)), C.TIDE_OK
  for i = 0, count - 1 do
    if too_large and report[i].kind == C.TIDE_REPORT_REFUSED then report[i].kind = C.TIDE_REPORT_TOO_LARGE end
    local answer = C.tide_dlq_reported(dlq, report[i])
    if answer ~= C.TIDE_OK then status = answer end
  end
  return status, count
end

-- Polls as if the pause were over.
local function poll_later(us)
  return C.tide_dlq_poll(dlq, C.tide_clock_us() + (us or 60e6))
end

-- The sink keeps what it is sent, the refused too: values from the index on.
local function sent(from)
  local values = {}
  for i = from or 0, tonumber(C.tide_memory_count(sink)) - 1 do
    values[#values + 1] = batches.fields(C.tide_memory_get(sink, i)).value
  end
  return values
end

describe("a dead letter that its topic does not take", function()
  setup(function() C.tide_log_setup(C.TIDE_LOG_ERROR, C.TIDE_LOG_TEXT) end)
  teardown(function() C.tide_log_setup(C.TIDE_LOG_INFO, C.TIDE_LOG_TEXT) end)
  before_each(function()
    C.tide_clock_hold(C.tide_clock_us()) -- a pause of 100 ms is not over before the spec says so
    new()
  end)
  after_each(function()
    C.tide_clock_hold(0)
    dlq = nil
    sink.ops.free(sink)
  end)

  it("a refused dead letter keeps its message incomplete, and is sent again after a pause", function()
    C.tide_memory_refuse(sink, "a")
    assert.equal(C.TIDE_OK, reject "a")
    assert.equal(C.TIDE_OK, (settle()))
    assert.same({ 0, 1, false }, { chain:position(), chain:count(C.TIDE_M_DLQ_FAILED), C.tide_dlq_joined(dlq) })
    C.tide_dlq_poll(dlq, C.tide_clock_us())
    assert.equal(1, #sent()) -- the pause
    assert.equal(100000, tonumber(C.tide_dlq_deadline_us(dlq) - C.tide_clock_us()))
    poll_later()
    assert.equal(2, #sent())
    settle()
    assert.equal(2, chain:count(C.TIDE_M_DLQ_FAILED))
    C.tide_memory_refuse(sink, nil)
    poll_later()
    settle()
    assert.same({ 1, 1, true }, { chain:position(), chain:count(C.TIDE_M_DLQ_MESSAGES), C.tide_dlq_joined(dlq) })
    assert.equal(1, tonumber(chain:totals().dead_lettered))
  end)

  it("a dead letter that is sent again is whole", function()
    C.tide_memory_refuse(sink, "a")
    local message = chain:read { value = "a", key = "k", headers = { { "h", "1" }, { "h" } } }
    C.tide_dlq_reject(dlq, ffi.new("struct tide_reject", { message = message, reason = "error", error = "oh" }))
    settle()
    poll_later()
    assert.same(batches.fields(C.tide_memory_get(sink, 0)), batches.fields(C.tide_memory_get(sink, 1)))
  end)

  it("the pause before a dead letter is sent again doubles, up to 10 s", function()
    C.tide_memory_refuse(sink, "a")
    reject "a"
    local pauses = {}
    for i = 1, 9 do
      settle()
      pauses[i] = tonumber(C.tide_dlq_deadline_us(dlq) - C.tide_clock_us()) / 1e6
      poll_later()
    end
    assert.same({ 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10 }, pauses)
  end)

  it("the log tells of a failing dlq at once, every 30 s, and when it is over", function()
    local code, _, text = child.run(function()
      C.tide_log_setup(C.TIDE_LOG_INFO, C.TIDE_LOG_TEXT)
      new()
      C.tide_memory_refuse(sink, "a")
      reject "a"
      settle()
      C.tide_memory_hold(sink, true) -- the next answer does not come
      local from = C.tide_clock_us()
      for second = 1, 70 do C.tide_dlq_poll(dlq, from + second * 1000000) end
      C.tide_memory_refuse(sink, nil)
      C.tide_memory_hold(sink, false)
      settle()
      poll_later()
      settle()
    end)
    assert.equal(0, code, text)
    local words = {}
    for line in text:gmatch "[^\n]+" do words[#words + 1] = line:match "Z (%a+ .*)$" end
    assert.equal(4, #words, text)
    assert.truthy(words[1]:find('warn in/0/0: the dlq "letters" did not take its dead letter: refused by the mem', 1,
      true), text)
    assert.truthy(words[2]:find('warn the dlq "letters" has taken nothing for 30 s; 1 dead letters wait: refused', 1,
      true), text)
    assert.truthy(words[3]:find("nothing for 60 s", 1, true), text)
    assert.truthy(words[4]:find('info the dlq "letters" takes dead letters again', 1, true), text)
  end)

  it("dead letters wait after a refused one of their partition, in order, while other partitions go on", function()
    C.tide_memory_refuse(sink, "a")
    reject "a"
    settle()
    for _, value in ipairs { "b", "c" } do assert.equal(C.TIDE_OK, reject(value)) end
    assert.equal(C.TIDE_OK, reject("other", 1))
    settle()
    assert.same({ "a", "other" }, sent())
    assert.same({ 0, 1 }, { chain:position(0), chain:position(1) })
    C.tide_memory_refuse(sink, nil)
    poll_later()
    settle()
    assert.same({ "a" }, sent(2)) -- the probe, alone
    poll_later()
    assert.same({ "a", "b", "c" }, sent(2))
    settle()
    assert.equal(3, chain:position(0))
  end)

  it("max_buffered dead letters of a partition may wait; then the dlq is busy", function()
    new { max_buffered = 3 }
    C.tide_memory_refuse(sink, "a")
    for _ = 1, 3 do assert.equal(C.TIDE_OK, reject "a") end
    assert.equal(C.TIDE_BUSY, reject "a")
    settle()
    assert.equal(C.TIDE_BUSY, reject "a")
    assert.equal(C.TIDE_OK, reject("a", 1))
    assert.equal(1, chain:count(C.TIDE_M_DLQ_EXCEEDED))
    local waiting = C.tide_counters_get(chain.counters, 0, C.TIDE_M_DLQ_WAITING)
    local partitions = C.tide_counters_get(chain.counters, 0, C.TIDE_M_DLQ_PARTITIONS)
    assert.same({ 4, 2 }, { waiting.last, partitions.last })
    assert.equal(C.TIDE_OK, reject("only copy", 0, true)) -- its bytes would be lost
  end)

  it("a refused dead letter stops the pipeline with on_failure stop: 65, and is named", function()
    new { stop_on_failure = true }
    C.tide_memory_refuse(sink, "a")
    reject "a"
    assert.equal(C.TIDE_EDATA, (settle()))
    assert.truthy(library.error():find("0/0: the dlq \"letters\" did not take its dead letter", 1, true),
      library.error())
    assert.equal(0, chain:position())
  end)

  it("dead letters of a revoked partition are dropped, and the partition may come again", function()
    C.tide_memory_refuse(sink, "a")
    reject "a"
    reject("on its way", 0)
    settle()
    reject "kept"
    C.tide_offsets_revoke(chain.offsets, 0)
    C.tide_dlq_forget(dlq, 0)
    C.tide_offsets_forget(chain.offsets, 0)
    assert.is_true(C.tide_dlq_joined(dlq))
    C.tide_offsets_assign(chain.offsets, 0)
    settle()
    C.tide_memory_refuse(sink, nil)
    assert.equal(C.TIDE_OK, reject "again") -- the pause holds
    poll_later()
    settle()
    assert.equal(1, chain:position())
  end)

  it("in a transaction no dead letter overtakes a refused one, without which it could not end", function()
    chain.c.exactly_once = true
    C.tide_memory_refuse(sink, "a")
    reject "a"
    settle()
    assert.equal(C.TIDE_BUSY, reject "b")
    assert.equal(C.TIDE_OK, reject("other", 1))
    C.tide_memory_refuse(sink, nil)
    poll_later()
    settle()
    assert.equal(C.TIDE_OK, reject "b")
  end)

  it("dead letters of an aborted transaction are forgotten, whether their reports come or not", function()
    new { max_buffered = 2 }
    chain.c.exactly_once = true
    C.tide_offsets_transactional(chain.offsets)
    for round = 1, 3 do
      for _ = 1, 2 do assert.equal(C.TIDE_OK, reject "a", round) end
      assert.equal(C.TIDE_BUSY, reject "a")
      C.tide_dlq_aborted(dlq)
      C.tide_offsets_revoke(chain.offsets, 0)
      if round == 2 then settle() end -- late, and of the old epoch
      C.tide_dlq_forget(dlq, 0)
      C.tide_offsets_forget(chain.offsets, 0)
      C.tide_offsets_assign(chain.offsets, 0)
      if round == 3 then settle() end
    end
    assert.equal(C.TIDE_OK, reject "a")
    settle()
    assert.same({ 1, 1 }, { chain:position(), tonumber(chain:totals().dead_lettered) })
  end)

  it("a dead letter of a group keeps all members incomplete, and says how many they are", function()
    local origins = ffi.new "struct tide_origin[2]"
    local messages = { chain:read { value = "x", offset = 5 }, chain:read { value = "y", offset = 6 } }
    origins[0], origins[1] = messages[1].origin, messages[2].origin
    local group = C.tide_offsets_group(chain.offsets, origins, 2)
    local result = batches.message { value = "a", partition = 0, offset = 5 }
    result.origin = group
    C.tide_memory_refuse(sink, "a")
    local given = ffi.new("struct tide_reject", { message = result, only_copy = true })
    assert.equal(C.TIDE_OK, C.tide_dlq_reject(dlq, given))
    C.tide_offsets_unref(chain.offsets, group, C.TIDE_OUTCOME_FILTERED)
    for _, message in ipairs(messages) do chain:done(message) end
    settle()
    C.tide_memory_refuse(sink, nil)
    poll_later()
    assert.equal(5, chain:position())
    settle()
    assert.equal(7, chain:position())
    local count
    for _, header in ipairs(batches.fields(C.tide_memory_get(sink, 1)).headers) do
      if header[1] == "original_count" then count = header[2] end
    end
    assert.equal("2", count)
  end)
end)

describe("a dead letter that is too large for its topic", function()
  setup(function() C.tide_log_setup(C.TIDE_LOG_ERROR, C.TIDE_LOG_TEXT) end)
  teardown(function() C.tide_log_setup(C.TIDE_LOG_INFO, C.TIDE_LOG_TEXT) end)
  after_each(function()
    dlq = nil
    sink.ops.free(sink)
  end)

  local function marks(index)
    local found = {}
    for _, header in ipairs(batches.fields(C.tide_memory_get(sink, index)).headers) do
      found[#found + 1] = (header[1] == "truncated" or header[1] == "original_size" or header[1] == "sha256")
        and header[1] .. "=" .. header[2] or nil
    end
    return found
  end

  it("a dead letter that is too large is truncated twice at most, and marked with the whole's size and hash", function()
    new()
    local whole = ("v"):rep(100000)
    local digest = "sha256=" .. require("tidemill.lib.hash").sha256(whole)
    local values = { whole, whole:sub(1, 65536), whole:sub(1, 1024) }
    reject(whole)
    for i = 1, 2 do
      C.tide_memory_refuse(sink, values[i])
      if i > 1 then poll_later() end
      assert.equal(i, #sent())
      -- what was sent is reported as it was refused
      sink.ops.reports(sink, report, 100)
      local refused = report[0]
      refused.kind, refused.text = C.TIDE_REPORT_TOO_LARGE, "too large"
      refused.message = C.tide_memory_get(sink, i - 1)[0]
      assert.equal(C.TIDE_OK, C.tide_dlq_reported(dlq, refused))
    end
    C.tide_memory_refuse(sink, nil)
    poll_later()
    assert.same(values, sent())
    for i = 1, 2 do assert.same({ "truncated=true", "original_size=100000", digest }, marks(i)) end
    settle()
    assert.same({ 1, 1 }, { chain:position(), chain:count(C.TIDE_M_DLQ_TRUNCATED) })
  end)

  it("a dead letter of a group is not truncated: the pipeline stops, and no member is complete", function()
    new()
    local origins = ffi.new "struct tide_origin[2]"
    local messages = { chain:read { value = "x", offset = 5 }, chain:read { value = "y", offset = 6 } }
    origins[0], origins[1] = messages[1].origin, messages[2].origin
    local group = C.tide_offsets_group(chain.offsets, origins, 2)
    local result = batches.message { value = ("v"):rep(100000), partition = 0, offset = 5 }
    result.origin = group
    C.tide_memory_refuse(sink, ("v"):rep(100000))
    local given = ffi.new("struct tide_reject", { message = result, only_copy = true })
    assert.equal(C.TIDE_OK, C.tide_dlq_reject(dlq, given))
    C.tide_offsets_unref(chain.offsets, group, C.TIDE_OUTCOME_FILTERED)
    for _, message in ipairs(messages) do chain:done(message) end
    sink.ops.reports(sink, report, 100)
    report[0].kind, report[0].text = C.TIDE_REPORT_TOO_LARGE, "too large"
    report[0].message = C.tide_memory_get(sink, 0)[0]
    assert.equal(C.TIDE_EDATA, C.tide_dlq_reported(dlq, report[0]))
    assert.is_truthy(library.error():find("made of 2 messages from there on", 1, true), library.error())
    assert.same({ 5, 0 }, { chain:position(), chain:count(C.TIDE_M_DLQ_TRUNCATED) })
  end)

  it("a dead letter that is to stay whole fails when it is too large", function()
    new { fail_on_too_large = true, stop_on_failure = true }
    C.tide_memory_refuse(sink, ("v"):rep(5000))
    reject(("v"):rep(5000))
    assert.equal(C.TIDE_EDATA, (settle(true)))
  end)
end)
