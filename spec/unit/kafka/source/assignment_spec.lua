-- SPDX-License-Identifier: MIT
-- Assignments of members (source/assignment.h), from bytes that another client wrote.
local ffi = require "ffi"
local C = require("spec.support.headers").declare "kafka/source/assignment.h"
ffi.cdef [[
  struct assigned { char *topic; int32_t partition; int64_t offset; void *metadata; size_t size; void *opaque;
    int error; void *more; };
  struct rd_kafka_topic_partition_list_s { int count, size; struct assigned *items; }; /* of librdkafka/rdkafka.h */
  struct rd_kafka_topic_partition_list_s *rd_kafka_topic_partition_list_new(int size);
  void rd_kafka_topic_partition_list_destroy(struct rd_kafka_topic_partition_list_s *list);
]]

local function int(size, value)
  local bytes = {}
  for i = size - 1, 0, -1 do bytes[#bytes + 1] = string.char(math.floor(value / 256 ^ i) % 256) end
  return table.concat(bytes)
end

-- topics: { { name, partitions }, ... } as a member's assignment.
local function assignment(topics, tail)
  local parts = { int(2, 0), int(4, #topics) }
  for _, topic in ipairs(topics) do
    parts[#parts + 1] = int(2, #topic[1]) .. topic[1] .. int(4, #topic[2])
    for _, partition in ipairs(topic[2]) do parts[#parts + 1] = int(4, partition) end
  end
  return table.concat(parts) .. (tail or int(4, -1))
end

-- The status, and "topic/partition ..." as read. The bytes lie at the end of memory of just that size.
local function read(bytes)
  local list = C.rd_kafka_topic_partition_list_new(0)
  local copy = ffi.new("char[?]", math.max(#bytes, 1), bytes)
  local status = C.tide_kafka_assignment_read(copy, #bytes, list)
  local names = {}
  for i = 0, list.count - 1 do
    names[#names + 1] = ffi.string(list.items[i].topic) .. "/" .. list.items[i].partition
  end
  C.rd_kafka_topic_partition_list_destroy(list)
  return status, table.concat(names, " ")
end

describe("the assignment of a member", function()
  it("has its topics and partitions", function()
    local status, names = read(assignment { { "orders", { 0, 7, 300 } }, { "clicks", {} }, { "x", { 2 ^ 31 - 1 } } })
    assert.equal(0, status)
    assert.equal("orders/0 orders/7 orders/300 x/2147483647", names)
  end)

  it("may be empty, without topics, and carry what its assignor wrote", function()
    assert.same({ 0, "" }, { read "" })
    assert.same({ 0, "" }, { read(assignment {}) })
    assert.same({ 0, "a/1" }, { read(assignment({ { "a", { 1 } } }, int(4, 3) .. "abc")) })
  end)

  it("is refused wherever it is cut", function()
    local whole = assignment({ { "orders", { 0, 1 } }, { "clicks", { 5 } } }, "")
    assert.equal(0, (read(whole)))
    for length = 1, #whole - 1 do assert.equal(-65, (read(whole:sub(1, length))), "of " .. length) end
  end)

  it("is refused with lengths that cannot be", function()
    for _, name in ipairs { int(2, -1), int(2, 0), int(2, 250) .. ("a"):rep(250), int(2, 32767) .. "a" } do
      assert.equal(-65, (read(int(2, 0) .. int(4, 1) .. name .. int(4, 0))))
    end
    assert.equal(-65, (read(int(2, 0) .. int(4, 2 ^ 31 - 1))))
    assert.equal(-65, (read(int(2, 0) .. int(4, 1) .. int(2, 1) .. "a" .. int(4, 2 ^ 31 - 1) .. int(4, 0))))
  end)
end)
