-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local batches = require "spec.support.batch"
local C = library.C

local topics, source, sink

local function new_source(partitions)
  topics = ffi.gc(C.tide_topics_new(), C.tide_topics_free)
  C.tide_topics_number(topics, "another")
  local names = ffi.new("const char *[1]", { "in" })
  local plan = ffi.new "struct tide_source_plan"
  plan.partitions, plan.topics, plan.topic_count = partitions or 1, names, 1
  source = C.tide_memory_source_new(plan, topics)
end

local function push(value, partition)
  C.tide_memory_push(source, partition or 0, (batches.message { value = value }))
end

-- The next event's name and the first partition it is about.
local function event()
  local one = ffi.new "struct tide_source_event"
  source.ops.event(source, one)
  for _, name in ipairs { "NOTHING", "ASSIGNED", "REVOKED", "LOST", "COMMITTED", "END" } do
    if tonumber(one.kind) == tonumber(C["TIDE_SOURCE_" .. name]) then
      return name, one.partition_count > 0 and one.partitions[0] or nil
    end
  end
end

-- "partition:offset=value" of what poll() gives now.
local function polled(max)
  local messages = ffi.new("struct tide_message[?]", max or 100)
  local words = {}
  for i = 0, tonumber(source.ops.poll(source, messages, max or 100)) - 1 do
    words[#words + 1] = ("%d:%d=%s"):format(messages[i].partition, tonumber(messages[i].offset),
      ffi.string(messages[i].value, messages[i].value_length))
  end
  return words
end

local function read(max)
  local words = polled(max)
  source.ops.take(source, #words)
  return table.concat(words, " ")
end

local function commit(partition, offset)
  local position = ffi.new("struct tide_position[1]", { { partition, offset } })
  assert.equal(C.TIDE_OK, source.ops.commit(source, position, 1))
end

describe("the memory source", function()
  after_each(function() source.ops.free(source) end)

  local function start(partitions)
    new_source(partitions)
    assert.equal(C.TIDE_OK, source.ops.start(source))
  end

  it("the memory source gives no message of a partition before its assignment was fetched", function()
    start(2)
    push "a"
    push("b", 1)
    assert.equal("", read())
    assert.same({ "ASSIGNED", 0 }, { event() })
    assert.is_true(source.partitions[0].owned)
    assert.equal("0:0=a", read())
    assert.equal("", read())
    assert.same({ "ASSIGNED", 1 }, { event() })
    assert.equal("1:0=b", read())
    assert.equal("NOTHING", (event()))
  end)

  it("the memory source gives messages again until they are taken", function()
    start()
    event()
    for _, value in ipairs { "a", "b", "c" } do push(value) end
    assert.same({ "0:0=a", "0:1=b", "0:2=c" }, polled())
    source.ops.take(source, 1)
    assert.same({ "0:1=b", "0:2=c" }, polled())
    assert.same({ "0:1=b" }, polled(1))
    source.ops.take(source, 1)
    assert.equal("0:2=c", read())
  end)

  it("the memory source lets the partitions take turns", function()
    start(2)
    event()
    event()
    for i = 1, 3 do
      push("x" .. i, 0)
      push("y" .. i, 1)
    end
    assert.equal("0:0=x1 1:0=y1 0:1=x2 1:1=y2", table.concat({ read(1), read(1), read(1), read(1) }, " "))
  end)

  it("the memory source keeps bytes of its own and names topic, partition and end", function()
    start(2)
    local bytes = ffi.new("char[3]", "abc")
    local message, keep = batches.message { key = "", headers = { { "h" } } }
    message.value, message.value_length, message.topic, message.partition = bytes, 3, 77, 77
    C.tide_memory_push(source, 1, message)
    ffi.fill(bytes, 3, 0x7A)
    keep[1] = nil
    event()
    event()
    local one = ffi.new "struct tide_message[1]"
    source.ops.poll(source, one, 1)
    local seen = batches.fields(one[0])
    assert.same({ "abc", "", { { "h" } }, 1, 1 }, { seen.value, seen.key, seen.headers, seen.topic, seen.partition })
    assert.same({ C.TIDE_TOPIC_NONE, C.TIDE_PARTITION_ANY, 1 },
      { seen.target_topic, seen.target_partition, one[0].origin.partition })
    assert.equal("in", ffi.string(C.tide_topics_name(topics, source.partitions[1].topic)))
    assert.equal(1, tonumber(source.partitions[1]["end"]))
  end)

  it("the memory source emits END once, when no more is pushed and all was taken", function()
    start()
    event()
    push "a"
    assert.equal("NOTHING", (event()))
    C.tide_memory_end(source)
    polled()
    assert.equal("NOTHING", (event()))
    read()
    assert.equal("END", (event()))
    assert.equal("NOTHING", (event()))
  end)

  it("the memory source answers a commit with an event and remembers it", function()
    start()
    event()
    assert.equal(-1, tonumber(C.tide_memory_committed(source, 0)))
    commit(0, 2)
    assert.equal("COMMITTED", (event()))
    assert.equal("NOTHING", (event()))
    assert.equal(2, tonumber(C.tide_memory_committed(source, 0)))
  end)

  for _, lost in ipairs { false, true } do
    it(("the memory source gives a partition that was %s back at its committed offset, once it was answered"):format(
      lost and "lost" or "revoked"), function()
      start(2)
      event()
      event()
      for i = 0, 3 do push("v" .. i) end
      read()
      commit(0, 2)
      event()
      C.tide_memory_end(source)
      C.tide_memory_revoke(source, 0, lost)
      assert.equal("", read())
      assert.same({ lost and "LOST" or "REVOKED", 0 }, { event() })
      assert.is_false(source.partitions[0].owned)
      assert.equal("NOTHING", (event()))
      assert.equal("", read())
      source.ops.revoke_done(source)
      assert.same({ "ASSIGNED", 0 }, { event() })
      assert.equal("0:2=v2 0:3=v3", read())
      assert.equal("END", (event()))
    end)
  end

  it("the memory source gives nothing while it is paused", function()
    start()
    event()
    push "a"
    source.ops.pause(source, true)
    assert.equal("", read())
    source.ops.pause(source, false)
    assert.equal("0:0=a", read())
  end)

  it("the memory source gives so many messages in all when they repeat, with rising offsets, and then ends", function()
    start()
    event()
    push "a"
    push "b"
    C.tide_memory_repeat(source, 5)
    assert.equal("0:0=a 0:1=b 0:2=a", read(3))
    assert.equal("0:3=b 0:4=a", read())
    assert.equal("", read())
    assert.equal("END", (event()))
  end)

  it("the memory source is closed when it is told to", function()
    start()
    assert.is_false(source.ops.closed(source))
    source.ops.close(source)
    assert.is_true(source.ops.closed(source))
  end)
end)

describe("the memory sink", function()
  local reports = ffi.new "struct tide_report[8]"

  before_each(function() sink = C.tide_memory_sink_new(ffi.new("struct tide_sink_plan", { max_messages = 3 })) end)
  after_each(function() sink.ops.free(sink) end)

  local function send(...)
    local messages = ffi.new("struct tide_message[?]", select("#", ...))
    for i, value in ipairs { ... } do
      messages[i - 1] = batches.message { value = value, origin = { i, 0, 1 } }
    end
    return tonumber(sink.ops.send(sink, messages, select("#", ...)))
  end

  local function reported(max)
    return tonumber(sink.ops.reports(sink, reports, max or 8))
  end

  local function kind(index)
    return tonumber(reports[index].kind)
  end

  local function pending()
    return tonumber(sink.ops.pending(sink))
  end

  it("the memory sink keeps what is sent in order, and copies it", function()
    local bytes = ffi.new("char[2]", "ab")
    local message = batches.message {}
    message.value, message.value_length = bytes, 2
    sink.ops.send(sink, message, 1)
    bytes[0] = 0
    send("c")
    assert.equal(2, tonumber(C.tide_memory_count(sink)))
    assert.equal("ab", batches.fields(C.tide_memory_get(sink, 0)).value)
    assert.equal("c", batches.fields(C.tide_memory_get(sink, 1)).value)
    assert.is_true(C.tide_memory_get(sink, 2) == nil)
  end)

  it("the memory sink acknowledges each message once, in order, as many at a time as asked for", function()
    send("a", "b", "c")
    assert.equal(3, pending())
    assert.equal(2, reported(2))
    assert.same({ 1, 2, C.TIDE_REPORT_DELIVERED }, { reports[0].origin.sequence, reports[1].origin.sequence, kind(0) })
    assert.equal(1, pending())
    assert.equal(1, reported())
    assert.equal(3, reports[0].origin.sequence)
    assert.equal(0, reported())
  end)

  it("the memory sink takes no more than max_messages that are not reported", function()
    assert.equal(3, send("a", "b", "c", "d"))
    assert.equal(0, send("d"))
    reported(1)
    assert.equal(1, send("d", "e"))
  end)

  it("the memory sink takes nothing while it is blocked", function()
    C.tide_memory_block(sink, true)
    assert.equal(0, send("a"))
    C.tide_memory_block(sink, false)
    assert.equal(1, send("a"))
  end)

  it("the memory sink reports nothing while it is held", function()
    send("a")
    C.tide_memory_hold(sink, true)
    assert.equal(0, reported())
    assert.equal(1, pending())
    C.tide_memory_hold(sink, false)
    assert.equal(1, reported())
  end)

  it("the memory sink refuses the value that it is to refuse, whole and nothing else, with the record"
    .. " as it was", function()
    C.tide_memory_refuse(sink, "bad")
    assert.equal(3, send("bad", "bad!", "ba"))
    assert.equal(3, reported())
    assert.same({ C.TIDE_REPORT_REFUSED, C.TIDE_REPORT_DELIVERED, C.TIDE_REPORT_DELIVERED },
      { kind(0), kind(1), kind(2) })
    assert.equal("bad", batches.fields(reports[0].message).value)
    assert.is_true(reports[0].text ~= nil and reports[1].text == nil)
    C.tide_memory_refuse(sink, nil)
    send("bad")
    reported()
    assert.equal(C.TIDE_REPORT_DELIVERED, kind(0))
  end)

  it("the memory sink only counts when it is told to discard", function()
    C.tide_memory_discard(sink)
    send("a", "b")
    assert.equal(2, tonumber(C.tide_memory_count(sink)))
    assert.is_true(C.tide_memory_get(sink, 0) == nil)
    assert.equal(2, reported())
  end)
end)
