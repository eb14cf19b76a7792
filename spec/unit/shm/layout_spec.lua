-- SPDX-License-Identifier: MIT
-- What gcc writes, ffi reads, and the other way round: the two read one header, so a field that moved shows here.
local ffi = require "ffi"
local C = require("spec.support.headers").declare("shm/layout.h", "shm/block.h", "chain/batch.h")

local function filled_message()
  local message = ffi.new("struct tide_message")
  message.value, message.value_length = "the value", 9
  message.key, message.key_length = "a key", 5
  message.headers, message.headers_length = "\1\0\0\0\0\0\0\0n", 9
  message.topic, message.timestamp, message.offset, message.partition = 101, 1e12, 2 ^ 40 + 1, 103
  message.target_topic, message.target_partition = 104, 105
  return message
end

describe("the layout", function()
  it("the layout keeps records and results at multiples of 8", function()
    assert.equal(0, ffi.sizeof "struct tide_record" % 8)
    assert.equal(0, ffi.sizeof "struct tide_output" % 8)
    assert.equal(0, ffi.sizeof "struct tide_result" % 8)
  end)

  it("the layout gives the head of an output block a cache line", function()
    assert.equal(64, ffi.sizeof "struct tide_output")
    assert.equal(0, ffi.offsetof("struct tide_output", "progress"))
  end)

  it("the layout has no hole that would show old bytes of the engine", function()
    local at = 0
    for _, field in ipairs { "size:4", "partition:4", "offset:8", "timestamp:8", "value_length:4", "key_length:4",
      "headers_length:4", "topic:2", "target_topic:2", "target_partition:4", "flags:2", "message_flags:2" } do
      local name, size = field:match("(.*):(%d)")
      assert.equal(at, ffi.offsetof("struct tide_record", name), name)
      at = at + size
    end
    assert.equal(at, ffi.sizeof "struct tide_record")
  end)

  it("the layout of a record that the engine writes is what a worker reads", function()
    local batch = ffi.gc(C.tide_batch_new(4, 65536), C.tide_batch_free)
    C.tide_batch_append(batch, filled_message())
    local record = ffi.cast("const struct tide_record *", batch.input.data)
    local seen = {}
    for _, field in ipairs { "partition", "offset", "timestamp", "value_length", "key_length", "headers_length",
      "topic", "target_topic", "target_partition" } do seen[field] = tonumber(record[field]) end
    assert.same({ partition = 103, offset = 2 ^ 40 + 1, timestamp = 1e12, value_length = 9, key_length = 5,
      headers_length = 9, topic = 101, target_topic = 104, target_partition = 105 }, seen)
    local bytes = ffi.cast("const char *", record) + ffi.sizeof "struct tide_record"
    assert.equal("the valuea key\1\0\0\0\0\0\0\0n", ffi.string(bytes, 23))
    assert.equal(72, record.size)
  end)

  it("the layout of the progress word is next in the low half and bytes in the high half", function()
    local output = ffi.new("struct tide_output")
    C.tide_worker_publish(output, 0x01020304, 0x05060708)
    assert.equal(0x0506070801020304ULL, output.progress)
    C.tide_worker_publish(output, 2 ^ 32 - 1, 2 ^ 32 - 1)
    assert.equal(0xFFFFFFFFFFFFFFFFULL, output.progress)
    C.tide_worker_running(output, C.TIDE_RUNNING_ONE)
    assert.equal(1, output.running)
    C.tide_worker_running(output, C.TIDE_RUNNING_NOT)
    assert.equal(0, output.running)
  end)
end)
