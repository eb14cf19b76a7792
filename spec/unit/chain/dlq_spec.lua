-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local bit = require "bit"
local cjson = require "cjson"
local library = require "tidemill.run.ffi"
local chains = require "spec.support.chain"
local child = require "spec.support.child"
local batches = require "spec.support.batch"
local C = chains.C

local chain, dlq, sink, path

local function slurp()
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function new(options)
  chain = chains.new()
  local plan, status = ffi.new "struct tide_dlq_plan", ffi.new "int[1]"
  plan.kind, plan.target = options.kind, options.target
  plan.max_invalid_ratio = options.max_invalid_ratio or -1
  plan.max_consecutive_count = options.max_consecutive_count or -1
  plan.stop_on_failure = options.stop_on_failure or false
  local made = C.tide_dlq_new(plan, chain.c, status)
  dlq = made ~= nil and ffi.gc(made, C.tide_dlq_free) or nil
  return status[0]
end

local function new_file(options)
  options = options or {}
  options.kind, options.target = C.TIDE_DLQ_FILE, path
  assert.equal(C.TIDE_OK, new(options))
end

local function new_topic(options)
  options = options or {}
  options.kind, options.target = C.TIDE_DLQ_TOPIC, "letters"
  assert.is_true(new(options) >= 0)
  local plan = ffi.new("struct tide_sink_plan", { max_messages = 2 })
  sink = C.tide_memory_sink_new(plan)
  C.tide_dlq_sink(dlq, sink)
end

local function reject(message, fields)
  local c = ffi.new("struct tide_reject", fields or { reason = "error" })
  c.message = message
  return C.tide_dlq_reject(dlq, c)
end

-- A word a message: "b" is bad, "g" is good. Returns how many were taken before the limit.
local function feed(words, partition)
  local count = 0
  for word in words:gmatch "[bg]" do
    if word == "g" then
      C.tide_dlq_passed(dlq, partition or 0, 1)
    elseif reject(chain:read({}, partition)) ~= C.TIDE_OK then
      return count
    end
    count = count + 1
  end
  return count
end

local function base64(text)
  return cjson.decode("[" .. (function()
    local bytes = ffi.gc(ffi.new "struct tide_text", C.tide_text_free)
    C.tide_text_base64(bytes, text, #text)
    return ffi.string(bytes.data, bytes.length)
  end)() .. "]")[1]
end

describe("without a dlq", function()
  it("a bad message without a dlq stops the pipeline with 65, is named, and keeps its offset", function()
    assert.equal(C.TIDE_OK, new { kind = C.TIDE_DLQ_NONE })
    chain:read { offset = 6 }
    local message = chain:read { offset = 7 }
    assert.equal(C.TIDE_EDATA, reject(message, { reason = "error", error = "x.lua:3: oh", traceback = "\nstack",
      cause = "SIGSEGV" }))
    local text = library.error()
    assert.truthy(text:find("in/0/7: error: x.lua:3: oh (SIGSEGV)", 1, true), text)
    assert.truthy(text:find("\nstack", 1, true))
    assert.equal(6, chain:position())
    assert.equal(2, tonumber(chain:totals().in_flight))
    assert.equal(1, chain:count(C.TIDE_M_INVALID_MESSAGE_COUNT))
  end)
end)

describe("a dlq file", function()
  before_each(function() path = os.tmpname() end)
  after_each(function()
    dlq = nil
    collectgarbage()
    os.remove(path)
  end)

  it("a dlq file that cannot be opened is a failure that names it", function()
    assert.equal(C.TIDE_ECONFIG, new { kind = C.TIDE_DLQ_FILE, target = "/no/such/folder/letters" })
    assert.truthy(library.error():find("/no/such/folder/letters", 1, true))
  end)

  it("a dlq file gets one JSON object a line, with the fields of the dead letter and its time", function()
    local before = os.time()
    new_file()
    local message = chain:read { value = "v\0\255", key = "k", timestamp = 1e12, offset = 2 ^ 53,
      headers = { { "h" }, { "h", "\255" } } }
    assert.equal(C.TIDE_OK, reject(message, { stage = "produce", reason = "crash", error = 'with "quotes"\nand \255',
      traceback = "line 1\n\tline 2", cause = "SIGSEGV", attempts = 2 }))
    local text = slurp()
    assert.equal(1, select(2, text:gsub("\n", "")))
    local found = cjson.decode(text)
    assert.is_true(found.timestamp >= before * 1000 and found.timestamp <= os.time() * 1000 + 1000)
    found.timestamp = nil
    assert.same({ original_topic = "in", original_partition = 0, original_offset = 2 ^ 53, original_timestamp = 1e12,
      stage = "produce", reason = "crash", error = 'with "quotes"\nand \xEF\xBF\xBD', traceback = "line 1\n\tline 2",
      cause = "SIGSEGV", attempts = 2, key = base64 "k", value = base64 "v\0\255",
      headers = { { base64 "h", cjson.null }, { base64 "h", base64 "\255" } } }, found)
    assert.truthy(text:find('"original_offset":9007199254740992,', 1, true))
  end)

  it("a dlq file tells null from empty", function()
    new_file()
    reject(chain:read {})
    reject(chain:read { value = "", key = "" })
    local null, empty = slurp():match "(.-)\n(.-)\n"
    null, empty = cjson.decode(null), cjson.decode(empty)
    assert.same({ cjson.null, cjson.null, "", "" }, { null.key, null.value, empty.key, empty.value })
    assert.same({ cjson.null, cjson.null }, { null.error, null.cause })
  end)

  it("a dlq file is appended to, and created if it does not exist", function()
    os.remove(path)
    new_file()
    reject(chain:read())
    dlq = nil
    collectgarbage()
    new_file()
    reject(chain:read())
    assert.equal(2, select(2, slurp():gsub("\n", "")))
  end)

  it("a dlq file has the dead letter before the message counts as dead-lettered", function()
    new_file()
    local message = chain:read()
    assert.equal(C.TIDE_OK, reject(message))
    assert.equal(0, chain:position()) -- the step still has its reference
    chain:done(message)
    assert.equal(1, chain:position())
    assert.equal(1, tonumber(chain:totals().dead_lettered))
    assert.same({ 1, 1 }, { chain:count(C.TIDE_M_DLQ_MESSAGES), chain:count(C.TIDE_M_INVALID_MESSAGE_COUNT) })
  end)

  it("a full dlq file stops the pipeline with on_failure stop, and the message keeps its offset", function()
    assert.equal(C.TIDE_OK, new { kind = C.TIDE_DLQ_FILE, target = "/dev/full", stop_on_failure = true })
    local message = chain:read()
    assert.equal(C.TIDE_ETEMPORARY, reject(message))
    assert.truthy(library.error():find("/dev/full", 1, true))
    chain:done(message)
    assert.equal(0, tonumber(chain:totals().dead_lettered))
  end)

  it("dead letters wait for a full dlq file, and their messages keep their offsets", function()
    assert.equal(C.TIDE_OK, new { kind = C.TIDE_DLQ_FILE, target = "/dev/full" })
    C.tide_log_setup(C.TIDE_LOG_ERROR, C.TIDE_LOG_TEXT)
    local message = chain:read()
    assert.equal(C.TIDE_OK, reject(message))
    C.tide_log_setup(C.TIDE_LOG_INFO, C.TIDE_LOG_TEXT)
    chain:done(message)
    assert.is_false(C.tide_dlq_joined(dlq))
    assert.same({ 0, 0 }, { chain:position(), tonumber(chain:totals().dead_lettered) })
  end)

  it("a dlq file that was full has all dead letters in the end, in order, each on its own line", function()
    local code, _, err = child.run(function()
      ffi.cdef "int setrlimit(int resource, const uint64_t *limit);"
      local FSIZE, XFSZ, IGNORE, NONE = 1, 25, ffi.cast("void (*)(int)", 1), 0xffffffffffffffffULL
      local function limit(bytes) assert(ffi.C.setrlimit(FSIZE, ffi.new("uint64_t[2]", bytes, NONE)) == 0) end
      ffi.C.signal(XFSZ, IGNORE)
      C.tide_log_setup(C.TIDE_LOG_ERROR, C.TIDE_LOG_TEXT)
      new_file()
      limit(300) -- in the middle of the second line
      for i = 1, 4 do
        local message = chain:read { value = "v" .. i }
        assert(reject(message) == C.TIDE_OK)
        chain:done(message)
      end
      assert(chain:position() == 1 and not C.tide_dlq_joined(dlq))
      assert(C.tide_dlq_poll(dlq, C.tide_clock_us() + 60000000) == C.TIDE_OK and chain:position() == 1)
      limit(NONE)
      assert(C.tide_dlq_poll(dlq, C.tide_clock_us() + 60000000) == C.TIDE_OK)
      assert(chain:position() == 4 and C.tide_dlq_joined(dlq))
    end)
    assert.equal(0, code, err)
    local values = {}
    for line in slurp():gmatch "[^\n]+" do
      local whole, letter = pcall(cjson.decode, line)
      values[#values + 1] = whole and letter.value or nil
    end
    assert.same({ base64 "v1", base64 "v2", base64 "v3", base64 "v4" }, values)
  end)

  it("a dlq file whose last line was cut off gets the next one on its own line", function()
    local file = assert(io.open(path, "w"))
    file:write('{"original_topic":"in","orig')
    file:close()
    new_file()
    reject(chain:read { value = "v" })
    local torn, whole = slurp():match "^(.-)\n(.-)\n$"
    assert.equal('{"original_topic":"in","orig', torn)
    assert.equal(base64 "v", cjson.decode(whole).value)
  end)
end)

describe("a dlq topic", function()
  before_each(function() new_topic() end)
  after_each(function() sink.ops.free(sink) end)

  it("a dlq topic gets the original key, value and headers, and then the fields as headers", function()
    local message = chain:read { value = "v\0", key = "k", headers = { { "mine", "1" }, { "mine" } }, timestamp = 1e12,
      offset = 41 }
    assert.equal(C.TIDE_OK, reject(message, { stage = "run_task_with_multiprocessing", reason = "error",
      error = "x.lua:1: oh", traceback = "stack", cause = "exit 3", attempts = 1 }))
    local letter = C.tide_memory_get(sink, 0)
    local seen = batches.fields(letter)
    assert.same({ "v\0", "k", -1 }, { seen.value, seen.key, seen.timestamp }) -- no time of its own: the present
    assert.same({ { "mine", "1" }, { "mine" }, { "original_topic", "in" }, { "original_partition", "0" },
      { "original_offset", "41" }, { "original_timestamp", "1000000000000" },
      { "stage", "run_task_with_multiprocessing" }, { "reason", "error" }, { "error", "x.lua:1: oh" },
      { "traceback", "stack" }, { "cause", "exit 3" }, { "attempts", "1" } }, seen.headers)
    assert.equal("letters", ffi.string(C.tide_topics_name(chain.topics, letter.target_topic)))
    assert.equal(C.TIDE_PARTITION_ANY, letter.target_partition)
  end)

  it("a dead letter of an earlier step's result is intermediate, one of a refused record is not", function()
    for _, refused in ipairs { false, true } do
      local message = chain:read { value = "made" }
      message.flags = C.TIDE_MESSAGE_RESULT
      assert.equal(C.TIDE_OK, reject(message, { reason = "error", refused = refused }))
    end
    local function said(number)
      for _, header in ipairs(batches.fields(C.tide_memory_get(sink, number)).headers) do
        if header[1] == "intermediate" then return header[2] end
      end
    end
    assert.same({ "true", nil }, { said(0), said(1) })
  end)

  it("a dead letter of a timer says so", function()
    local message = chain:read { key = "k" }
    message.flags = C.TIDE_MESSAGE_TIMER
    assert.equal(C.TIDE_OK, reject(message, { reason = "error" }))
    local seen = batches.fields(C.tide_memory_get(sink, 0))
    assert.same({ "timer", "true" }, seen.headers[5])
    assert.same({ key = "k" }, { key = seen.key, value = seen.value })
  end)

  it("a dead letter has no header for a field without a value", function()
    reject(chain:read {}, { reason = "error", error = "" })
    local letter = C.tide_memory_get(sink, 0)
    assert.is_true(letter.value == nil and letter.key == nil)
    local names = {}
    for i, header in ipairs(batches.fields(letter).headers) do names[i] = header[1] end
    assert.same({ "original_topic", "original_partition", "original_offset", "original_timestamp", "reason",
      "attempts" }, names)
  end)

  it("a message keeps a reference until its dead letter is acknowledged", function()
    local message = chain:read()
    reject(message)
    chain:done(message)
    assert.equal(0, chain:position())
    assert.equal(1, tonumber(C.tide_offsets_awaiting_report(chain.offsets, 0)))
    local report = ffi.new "struct tide_report[1]"
    assert.equal(1, tonumber(sink.ops.reports(sink, report, 1)))
    assert.is_true(bit.band(report[0].origin.epoch, C.TIDE_ORIGIN_DEAD_LETTER) ~= 0)
    assert.equal(0, chain:count(C.TIDE_M_DLQ_MESSAGES))
    assert.equal(C.TIDE_OK, C.tide_dlq_reported(dlq, report[0]))
    assert.equal(1, chain:position())
    assert.same({ 1, 1 }, { tonumber(chain:totals().dead_lettered), chain:count(C.TIDE_M_DLQ_MESSAGES) })
  end)

  it("a busy dlq takes the same message later, and counts it once", function()
    for _ = 1, 2 do assert.equal(C.TIDE_OK, reject(chain:read())) end
    local message = chain:read()
    assert.equal(C.TIDE_BUSY, reject(message))
    assert.equal(C.TIDE_BUSY, reject(message))
    assert.equal(2, chain:count(C.TIDE_M_INVALID_MESSAGE_COUNT))
    chain:done(message)
    assert.equal(1, tonumber(chain:totals().filtered)) -- it took no reference for the busy one
    sink.ops.reports(sink, ffi.new "struct tide_report[4]", 4)
    assert.equal(C.TIDE_OK, reject(chain:read()))
  end)
end)

describe("the limits of a dlq", function()
  before_each(function() path = os.tmpname() end)
  after_each(function()
    dlq = nil
    os.remove(path)
  end)

  it("a dlq without limits takes any number of bad messages", function()
    new_file()
    assert.equal(500, feed(("b"):rep(500)))
  end)

  it("a bad message of an aborted transaction counts once, when it is read again", function()
    new_file { max_consecutive_count = 2 }
    assert.equal(1, feed "b")
    C.tide_dlq_committed(dlq)
    for _ = 1, 5 do
      assert.equal(1, feed "b")
      C.tide_dlq_aborted(dlq)
    end
    assert.equal(1, feed "bb")
    C.tide_dlq_aborted(dlq)
    assert.equal(4, feed "gbgb")
    C.tide_dlq_committed(dlq)
    C.tide_dlq_aborted(dlq)
    assert.equal(1, feed "bb")
  end)

  it("max_consecutive_count bad messages of a partition in a row are taken, and no more", function()
    new_file { max_consecutive_count = 3 }
    assert.equal(8, feed "bbbgbbbgbbbb" - 3)
    assert.equal(3, feed("bbbb", 1))
  end)

  it("max_consecutive_count of 0 takes no bad message", function()
    new_file { max_consecutive_count = 0 }
    assert.equal(2, feed "ggb")
  end)

  it("max_invalid_ratio of a partition's messages may be bad, and the first always", function()
    new_file { max_invalid_ratio = 0.1 }
    assert.equal(1, feed "bb")
    new_file { max_invalid_ratio = 0.1 }
    assert.equal(20, feed("b" .. ("g"):rep(18) .. "bb"))
    assert.equal(1, feed("bb", 1))
  end)

  it("the limits of the dlq count each partition by itself", function()
    new_file { max_consecutive_count = 2, max_invalid_ratio = 0.5 }
    assert.equal(4, feed("ggbb", 0))
    assert.equal(4, feed("ggbb", 1))
    assert.equal(0, feed("b", 0))
  end)

  it("a limit stops the pipeline with 65 and names the limit, the message and the counts", function()
    new_file { max_consecutive_count = 1 }
    feed "gb"
    local message = chain:read { offset = 70 }
    assert.equal(C.TIDE_EDATA, reject(message, { reason = "rejected", error = "no such user" }))
    local text = library.error()
    assert.truthy(text:find("max_consecutive_count is reached at in/0/70: 2 of 3 messages", 1, true), text)
    assert.truthy(text:find("2 in a row; the last one: rejected: no such user", 1, true), text)
    assert.equal(1, select(2, slurp():gsub("\n", "")))
    assert.equal(0, chain:position())
    assert.equal(1, chain:count(C.TIDE_M_DLQ_MESSAGES))
  end)
end)
