-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local batches = require "spec.support.batch"
local seeds = require "spec.support.seed"
local C = batches.C

local SIZE = 8192 -- bytes for results; behind them nothing may be read
local MESSAGE, FINISHED, REJECT = C.TIDE_ITEM_MESSAGE, C.TIDE_ITEM_FINISHED, C.TIDE_ITEM_REJECT
local batch, output

-- A batch of `count` records with value "v<i>", key "k<i>" and one header, given to a worker.
local function fill(count, first)
  C.tide_batch_reset(batch)
  for i = 0, count - 1 do
    local message, keep = batches.message { value = "v" .. i, key = "k" .. i, headers = { { "h" .. i, "x" } },
      timestamp = 1000 + i, offset = i, partition = 5, topic = 1 }
    C.tide_batch_append(batch, message)
    keep[1] = nil
  end
  batch.release.released = first or 0
  batches.give(batch, output, SIZE, first)
end

local function leave(next, ...)
  local parts = {}
  for i, fields in ipairs { ... } do parts[i] = type(fields) == "string" and fields or batches.result(fields) end
  batches.leave(batch, table.concat(parts), next)
end

local function read(topic_count)
  assert.equal(C.TIDE_OK, C.tide_results_accept(batch))
  return batches.read_all(batch, topic_count)
end

local function shape(items)
  local words = {}
  for i, item in ipairs(items) do
    words[i] = (item.kind == MESSAGE and "m" or item.kind == REJECT and "r" or "f") .. item.record
  end
  return table.concat(words, " ")
end

describe("results", function()
  setup(function() output = batches.guarded_output(SIZE) end)
  before_each(function() batch = ffi.gc(C.tide_batch_new(500, 65536), C.tide_batch_free) end)

  it("come in the order of their records; a record without one was filtered", function()
    fill(4)
    leave(4, { index = 0, value = "a" }, { index = 2, value = "b" }, { index = 2, value = "c" })
    local items, status = read()
    assert.equal(C.TIDE_OK, status)
    assert.equal("m0 f0 f1 m2 m2 f2 f3", shape(items))
    assert.same({ "a", "b", "c" }, { items[1].message.value, items[4].message.value, items[5].message.value })
  end)

  it("stop at what was published", function()
    fill(4)
    leave(2, { index = 0, value = "a" }, { index = 1, value = "b" })
    assert.equal("m0 f0 m1 f1", shape((read())))
  end)

  it("go on from the record at which an earlier round ended", function()
    fill(4, 2)
    leave(4, { index = 3, value = "d" })
    assert.equal("f2 m3 f3", shape((read())))
  end)

  it("take over from the record what they say they inherit", function()
    fill(2)
    leave(2, { index = 0, inherit = 7 },
      { index = 1, inherit = C.TIDE_INHERIT_KEY, value = "new", headers = {}, timestamp = 7, topic = 1, partition = 3 })
    local items = read(2)
    assert.same({ value = "v0", key = "k0", headers = { { "h0", "x" } }, timestamp = -1, offset = 0, partition = 5,
      topic = 1, target_topic = C.TIDE_TOPIC_NONE, target_partition = C.TIDE_PARTITION_ANY }, items[1].message)
    assert.same({ value = "new", key = "k1", headers = {}, timestamp = 7, offset = 1, partition = 5, topic = 1,
      target_topic = 1, target_partition = 3 }, items[3].message)
  end)

  it("are marked unless they are the message itself: all of it, and it alone", function()
    fill(5)
    local function result(index, fields)
      fields = fields or {}
      fields.index, fields.inherit, fields.timestamp = index, fields.inherit or 7, fields.timestamp or 1000 + index
      return fields
    end
    leave(5, result(0), result(1), result(1), result(2, { inherit = 6, value = "new" }), result(3, { timestamp = 9 }),
      result(4))
    local marked = {}
    assert.equal(C.TIDE_OK, C.tide_results_accept(batch))
    batches.read_all(batch, 0, function(_, message) marked[#marked + 1] = message.flags end)
    assert.same({ 0, 1, 1, 1, 1, 0 }, marked)
  end)

  it("carry null and empty values, keys and headers of their own", function()
    fill(3)
    leave(3, { index = 0, headers = { { "a", "1" }, { "a" }, { "", "" } } }, { index = 1, value = "", key = "" },
      { index = 2, value = "v", key = "k" })
    local items = read()
    assert.same({ { "a", "1" }, { "a" }, { "", "" } }, items[1].message.headers)
    assert.is_nil(items[1].message.value)
    assert.same({ "", "" }, { items[3].message.value, items[3].message.key })
    assert.same({ "v", "k" }, { items[5].message.value, items[5].message.key })
  end)

  it("may be a rejection, which holds its texts as value", function()
    fill(1)
    leave(1, { index = 0, kind = C.TIDE_RESULT_REJECT, value = "error\0text\0trace\0" })
    local items = read()
    assert.equal("r0 f0", shape(items))
    assert.equal("error\0text\0trace\0", items[1].message.value)
  end)

  it("of one record may fill more than one portion", function()
    fill(450)
    local list = {}
    for i = 1, 200 do list[i] = { index = 3, inherit = 7 } end
    leave(450, unpack(list))
    local items, status = read()
    assert.equal(C.TIDE_OK, status)
    assert.equal(650, #items)
    assert.equal("f0 f1 f2 m3", shape { items[1], items[2], items[3], items[4] })
    assert.equal("m3 f3 f4", shape { items[203], items[204], items[205] })
  end)

  it("are not looked for in bytes too few for one", function()
    fill(2)
    leave(2, { index = 0, value = ("x"):rep(SIZE - 40 - 32) }, ("\1"):rep(32)) -- up to the guard page
    local items, status = read()
    assert.equal("", shape(items)) -- nor is the record before them whole then
    assert.equal(C.TIDE_EDATA, status)
  end)
end)

describe("progress", function()
  setup(function() output = batches.guarded_output(SIZE) end)
  before_each(function() batch = ffi.gc(C.tide_batch_new(500, 65536), C.tide_batch_free) end)

  it("that cannot be true is refused and changes nothing", function()
    fill(10, 4)
    for _, word in ipairs { { 3, 0 }, { 11, 0 }, { 2 ^ 32 - 1, 0 }, { 5, SIZE + 1 }, { 5, 2 ^ 32 - 1 } } do
      C.tide_worker_publish(output, word[1], word[2])
      assert.equal(C.TIDE_EDATA, C.tide_results_accept(batch))
      assert.truthy(library.error():find(("progress %.0f of [4, 10], %.0f bytes"):format(word[1], word[2]), 1, true))
      assert.equal(0, batch.run.ready)
    end
    for _, word in ipairs { { 4, 0 }, { 10, SIZE } } do
      C.tide_worker_publish(output, word[1], word[2])
      assert.equal(C.TIDE_OK, C.tide_results_accept(batch))
    end
  end)

  it("is taken once: what is published later changes nothing", function()
    fill(3)
    leave(1, { index = 0, value = "a" }, { index = 1, value = "b" })
    C.tide_worker_publish(output, 1, 48)
    C.tide_results_accept(batch)
    C.tide_worker_publish(output, 3, SIZE)
    assert.equal("m0 f0", shape((batches.read_all(batch))))
  end)
end)

describe("a result that does not hold together", function()
  setup(function() output = batches.guarded_output(SIZE) end)
  before_each(function() batch = ffi.gc(C.tide_batch_new(500, 65536), C.tide_batch_free) end)

  local huge = 2 ^ 32 - 8
  local broken = {
    ["no size"] = { size = 0 }, ["a size below its struct"] = { size = 32 }, ["an odd size"] = { size = 44 },
    ["a size beyond what was published"] = { size = 1024 }, ["the largest size"] = { size = huge },
    ["a value longer than itself"] = { value_length = 100 }, ["the longest value"] = { value_length = 2 ^ 31 - 1 },
    ["a value length below null"] = { value_length = -2 }, ["a key length below null"] = { key_length = -2 ^ 31 },
    ["headers longer than itself"] = { headers_length = huge }, ["a record that is over"] = { index = 0 },
    ["a record that is not complete"] = { index = 3 }, ["no kind"] = { kind = 0 }, ["an unknown kind"] = { kind = 4 },
    ["a topic that is not there"] = { topic = 2 }, ["a partition below any"] = { partition = -2 },
    ["headers that are none"] = { headers_length = 4 },
  }
  for name, set in pairs(broken) do
    it("for it has " .. name .. " is refused", function()
      fill(4)
      leave(3, { index = 1, value = "good", topic = 1 }, { index = 2, value = "w", set = set })
      local items, status = read(2)
      assert.equal(C.TIDE_EDATA, status)
      assert.truthy(library.error():find("byte 48", 1, true))
      -- record 1 is whole when the struct behind its result is one of record 2; else it is run again
      local struct_holds = set.headers_length == 4
      assert.equal(struct_holds and "f0 m1 f1" or "f0", shape(items))
    end)
  end

  it("for its headers are cut short is refused", function()
    local packed = batches.pack { { "name", "value" } }
    for cut = 1, #packed - 1 do
      fill(1)
      leave(1, { index = 0, value = packed:sub(1, cut), set = { value_length = -1, headers_length = cut } })
      assert.equal(C.TIDE_EDATA, select(2, read()))
    end
  end)
end)

-- A worker may leave anything there is. Whatever it is, the engine reads nothing outside and gets nothing outside.
describe("whatever a worker leaves", function()
  local ROUNDS = 100000
  local first, last, in_first, in_last

  setup(function()
    output = batches.guarded_output(SIZE)
    batch = ffi.gc(C.tide_batch_new(500, 65536), C.tide_batch_free)
    first = ffi.cast("uintptr_t", output) + ffi.sizeof "struct tide_output"
    last = first + SIZE
    in_first = ffi.cast("uintptr_t", batch.input.data)
    in_last = in_first + 65536
  end)

  local function inside(pointer, length)
    if pointer == nil then return length == 0 end
    local at = ffi.cast("uintptr_t", pointer)
    return at >= first and at + length <= last or at >= in_first and at + length <= in_last
  end

  -- Headers of a result's own are the engine's copy, with nothing of the worker's block.
  local function look(_, message)
    assert(inside(message.value, message.value_length), "value")
    assert(inside(message.key, message.key_length), "key")
    local headers = ffi.cast("uintptr_t", message.headers)
    assert(headers < first or headers >= last, "headers")
    assert((message.headers ~= nil) == (message.headers_length > 0), "headers")
    assert(message.target_topic == C.TIDE_TOPIC_NONE or message.target_topic < 3, "topic")
    assert(message.target_partition >= -1, "partition")
    assert(message.offset < batch.records.count and message.partition == 5, "the record's own")
  end

  local odd = { 0, 1, 2, 7, 8, 39, 40, 41, 48, 64, 127, 128, 255, 256, SIZE - 40, SIZE, 2 ^ 31 - 1, 2 ^ 31, 2 ^ 32 - 8,
    2 ^ 32 - 1 }

  local function random_result(index)
    local fields = { index = index, inherit = math.random(0, 9), topic = math.random(0, 3) }
    if math.random(2) == 1 then fields.value = ("v"):rep(math.random(0, 60)) end
    if math.random(2) == 1 then fields.key = ("k"):rep(math.random(0, 20)) end
    if math.random(3) == 1 then fields.headers = { { "h", "1" }, { ("n"):rep(math.random(0, 9)) } } end
    return batches.result(fields)
  end

  -- Mostly valid results of rising records, then one place of them made odd.
  local function random_bytes(count)
    local parts, index, size = {}, 0, 0
    while index < count and size < SIZE - 300 do
      parts[#parts + 1] = random_result(index)
      size = size + #parts[#parts]
      index = index + math.random(0, 2)
    end
    local bytes = table.concat(parts)
    if #bytes < 8 or math.random(4) == 1 then return bytes end
    local place = ffi.new("uint8_t[?]", #bytes + 1, bytes) -- its NUL is copied too
    for _ = 1, math.random(1, 3) do
      local at = math.random(0, math.floor(#bytes / 4) - 1)
      ffi.cast("uint32_t *", place)[at] = odd[math.random(#odd)]
    end
    if math.random(4) == 1 then place[math.random(0, #bytes - 1)] = math.random(0, 255) end
    return ffi.string(place, #bytes)
  end

  local function noise()
    local bytes = ffi.new("uint32_t[?]", SIZE / 4)
    for i = 0, SIZE / 4 - 1 do bytes[i] = math.random(3) == 1 and odd[math.random(#odd)] or math.random(0, 2 ^ 31) end
    return ffi.string(bytes, SIZE)
  end

  local function round()
    local count = math.random(0, 30)
    fill(count, math.random(0, count))
    local bytes = math.random(20) == 1 and noise() or random_bytes(count)
    ffi.fill(output, ffi.sizeof "struct tide_output" + SIZE, math.random(0, 255))
    batches.leave(batch, bytes, math.random(4) > 1 and count or math.random(0, count + 1))
    if math.random(3) == 1 then
      C.tide_worker_publish(output, math.random(0, count), odd[math.random(#odd)])
    end
    if C.tide_results_accept(batch) < 0 then return "progress" end
    local ready = batch.run.ready
    local items, status = batches.read_all(batch, 3, look)
    local record, open = batch.work.job.first, true
    for _, item in ipairs(items) do
      assert(item.record == record, "records rise one by one")
      open = item.kind ~= FINISHED
      if not open then record = record + 1 end
    end
    assert(#items == 0 or not open, "only whole records")
    if status < 0 then return "refused" end
    assert(record == ready, "all that is ready is through")
    return "read"
  end

  it("is read or refused, and nothing outside the block is touched or forwarded", function()
    local seed = seeds.draw()
    local outcomes = { progress = 0, refused = 0, read = 0 }
    for i = 1, ROUNDS do
      local ok, outcome = pcall(round)
      assert(ok, ("TIDE_SEED=%d, round %d: %s"):format(seed, i, tostring(outcome)))
      outcomes[outcome] = outcomes[outcome] + 1
    end
    for name, count in pairs(outcomes) do assert.is_true(count > ROUNDS / 20, ("only %d %s"):format(count, name)) end
  end)
end)
