-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local child = require "spec.support.child"
local batches = require "spec.support.batch"
local C = batches.C

local SIGABRT, MIB = 6, 1024 * 1024
local batch

local function append(fields)
  local message, keep = batches.message(fields)
  local need = tonumber(C.tide_batch_need(message))
  C.tide_batch_append(batch, message)
  return need, keep
end

local function back(index)
  local message = ffi.new "struct tide_message"
  C.tide_batch_message(batch, index, message)
  return batches.fields(message), message
end

local function whole(fields)
  local all = { headers = {}, timestamp = -1, offset = 0, partition = 0, topic = 0,
    target_topic = C.TIDE_TOPIC_NONE, target_partition = C.TIDE_PARTITION_ANY }
  for name, value in pairs(fields) do all[name] = value end
  return all
end

describe("a batch", function()
  before_each(function() batch = ffi.gc(C.tide_batch_new(100, MIB), C.tide_batch_free) end)
  after_each(child.stop_all)

  it("gives back each message as it was", function()
    local messages = {
      { value = "v", key = "k", headers = { { "h", "1" }, { "h" }, { "", "" } }, timestamp = 1e12, offset = 2 ^ 40,
        partition = 7, topic = 3, target_topic = 4, target_partition = 9 },
      { key = "only a key" },
      { value = "only a value", offset = 1 },
      { headers = { { "only", "headers" } } },
      {},
      { value = ("x"):rep(100000), key = "\0\255" },
    }
    for _, fields in ipairs(messages) do append(fields) end
    assert.equal(#messages, batch.records.count)
    for i, fields in ipairs(messages) do assert.same(whole(fields), (back(i - 1))) end
  end)

  it("tells null from empty", function()
    append { value = "", key = "" }
    append {}
    local _, empty = back(0)
    assert.is_true(empty.value ~= nil and empty.key ~= nil)
    local _, null = back(1)
    assert.is_true(null.value == nil and null.key == nil and null.headers == nil)
  end)

  it("keeps the origin to itself: it is not in the block", function()
    append { value = "v", origin = { 11, 22, 33 } }
    local _, message = back(0)
    assert.same({ 11, 22, 33 }, { message.origin.sequence, message.origin.partition, message.origin.epoch })
    local record = ffi.string(batch.input.data, tonumber(batch.records.bytes))
    assert.falsy(record:find("\11\0\0\0\22\0\33", 1, true))
  end)

  it("needs what tide_batch_need says, a multiple of 8, and nothing between", function()
    local sum = 0
    for length = 0, 40 do
      local need = append { value = ("v"):rep(length) }
      assert.equal(0, need % 8)
      assert.is_true(need >= ffi.sizeof "struct tide_record" + length)
      assert.is_true(need < ffi.sizeof "struct tide_record" + length + 8)
      assert.equal(sum, tonumber(batch.record_at[length]))
      sum = sum + need
      assert.equal(sum, tonumber(batch.records.bytes))
    end
  end)

  it("can be filled to its last byte", function()
    batch = ffi.gc(C.tide_batch_new(2, 4096), C.tide_batch_free)
    local head = ffi.sizeof "struct tide_record"
    append { value = ("a"):rep(2048 - head) }
    append { value = ("b"):rep(2048 - head) }
    assert.equal(4096, tonumber(batch.records.bytes))
    assert.equal(("b"):rep(2048 - head), back(1).value)
  end)

  it("knows how far its input block has pages", function()
    append { value = ("x"):rep(10000) }
    assert.equal(tonumber(batch.records.bytes), tonumber(batch.input.touched))
    C.tide_batch_reset(batch)
    append { value = "x" }
    assert.is_true(batch.input.touched > 10000)
  end)

  it("is empty again after a reset", function()
    append { value = "old" }
    local lives = { "records", "release", "run", "record", "group" }
    for _, life in ipairs(lives) do ffi.fill(batch[life], ffi.sizeof(batch[life]), 1) end
    batch.state, batch.pause.wanted, batch.pause.times.tries = C.TIDE_BATCH_FORWARDED, true, 1
    C.tide_batch_reset(batch)
    for _, life in ipairs(lives) do
      local size = ffi.sizeof(batch[life])
      assert.equal(("\0"):rep(size), ffi.string(ffi.cast("char *", batch[life]), size), life)
    end
    assert.equal(C.TIDE_BATCH_EMPTY, tonumber(batch.state))
    assert.same({ false, 0 }, { batch.pause.wanted, batch.pause.times.tries })
    append { value = "new" }
    assert.equal("new", back(0).value)
  end)

  it("ends the process when it is reset while the pool has it", function()
    batch.work.state = C.TIDE_WORK_GIVEN
    assert.equal(SIGABRT, select(2, child.run(function() C.tide_batch_reset(batch) end)))
  end)

  it("ends the process when more is appended than there is room for", function()
    batch = ffi.gc(C.tide_batch_new(1, 4096), C.tide_batch_free)
    assert.equal(SIGABRT, select(2, child.run(function() append { value = ("x"):rep(5000) } end)))
    append {}
    assert.equal(SIGABRT, select(2, child.run(function() append {} end)))
  end)

  it("that is too large is a failure with a text", function()
    local made = C.tide_batch_new(1, 2 ^ 62)
    assert.is_true(made == nil)
    assert.truthy(library.error():find("bytes", 1, true))
    C.tide_batch_free(nil)
  end)
end)
