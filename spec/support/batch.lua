-- SPDX-License-Identifier: MIT
-- A batch (chain/batch.h) as specs drive it: messages from tables, results written as a worker writes them.
local ffi = require "ffi"
local C = require("spec.support.headers").declare("base/text.h", "shm/block.h", "chain/results.h")

ffi.cdef [[
void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset);
int mprotect(void *address, size_t length, int protection);
]]

local batch = {}
batch.C = C

local PAGE = 4096
local OUTPUT, RESULT = ffi.sizeof "struct tide_output", ffi.sizeof "struct tide_result"

--- Packed headers of an array of {name, value}.
function batch.pack(headers)
  local text = ffi.gc(ffi.new("struct tide_text"), C.tide_text_free)
  for _, header in ipairs(headers) do
    local name, value = header[1], header[2]
    C.tide_header_pack(text, name, #name, value, value and #value or 0)
  end
  return ffi.string(text.data, text.length)
end

--- struct tide_message of { value, key, headers, timestamp, offset, partition, topic }; the second result keeps its
--- bytes alive.
function batch.message(fields)
  local c = ffi.new "struct tide_message"
  local headers = fields.headers and batch.pack(fields.headers)
  c.value, c.value_length = fields.value, fields.value and #fields.value or 0
  c.key, c.key_length = fields.key, fields.key and #fields.key or 0
  if headers and #headers > 0 then
    c.headers, c.headers_length = headers, #headers
  end
  c.timestamp, c.offset, c.partition = fields.timestamp or -1, fields.offset or 0, fields.partition or 0
  c.topic, c.target_topic = fields.topic or 0, fields.target_topic or C.TIDE_TOPIC_NONE
  c.target_partition = fields.target_partition or C.TIDE_PARTITION_ANY
  if fields.origin then c.origin = fields.origin end
  return c, { fields, headers }
end

--- The fields of a struct tide_message; headers as an array of {name, value}.
function batch.fields(c)
  local list, at, header = {}, ffi.new "uint32_t[1]", ffi.new "struct tide_header"
  while c.headers_length > 0 and C.tide_header_next(c.headers, c.headers_length, at, header) == 1 do
    list[#list + 1] = { ffi.string(header.name, header.name_length),
      header.value ~= nil and ffi.string(header.value, header.value_length) or nil }
  end
  return {
    value = c.value ~= nil and ffi.string(c.value, c.value_length) or nil,
    key = c.key ~= nil and ffi.string(c.key, c.key_length) or nil,
    headers = list, timestamp = tonumber(c.timestamp), offset = tonumber(c.offset), partition = c.partition,
    topic = c.topic, target_topic = c.target_topic, target_partition = c.target_partition,
  }
end

--- Memory that ends where `size` bytes behind a struct tide_output end: what is read beyond is a SIGSEGV.
function batch.guarded_output(size)
  local bytes = math.ceil((OUTPUT + size) / PAGE) * PAGE
  local base = ffi.cast("char *", ffi.C.mmap(nil, bytes + PAGE, 3, 0x22, -1, 0))
  assert(ffi.C.mprotect(base + bytes, PAGE, 0) == 0)
  return ffi.cast("struct tide_output *", base + bytes - OUTPUT - size)
end

--- The bytes of a result: { index, kind, inherit, value, key, headers, topic, partition, timestamp }; `set` overrides
--- fields of the struct.
function batch.result(fields)
  local headers = fields.headers and batch.pack(fields.headers) or ""
  local bytes = (fields.value or "") .. (fields.key or "") .. headers
  local c = ffi.new "struct tide_result"
  c.size = math.ceil((RESULT + #bytes) / 8) * 8
  c.index, c.kind, c.inherit = fields.index, fields.kind or C.TIDE_RESULT_MESSAGE, fields.inherit or 0
  c.headers_length = #headers
  c.timestamp = fields.timestamp or -1
  c.value_length, c.key_length = fields.value and #fields.value or -1, fields.key and #fields.key or -1
  c.topic, c.partition = fields.topic or C.TIDE_TOPIC_NONE, fields.partition or C.TIDE_PARTITION_ANY
  local size = c.size
  for name, value in pairs(fields.set or {}) do c[name] = value end
  return ffi.string(c, RESULT) .. bytes .. ("\0"):rep(size - RESULT - #bytes)
end

--- Gives records [first, end) of the batch a job with room for `size` bytes at `output`.
function batch.give(c, output, size, first)
  local job = c.work.job
  job.first, job["end"], job.output, job.output_size, job.output_max = first or 0, c.records.count, output, size, size
end

--- What a worker leaves: `bytes` and its progress.
function batch.leave(c, bytes, next)
  local output = c.work.job.output
  ffi.copy(ffi.cast("char *", output) + OUTPUT, bytes, #bytes)
  C.tide_worker_publish(output, next, #bytes)
end

local parsed = ffi.new "struct tide_parsed"

--- Reads all that is there as tide_task_release does: an array of { kind, record, message }, and the last status.
function batch.read_all(c, topic_count, look)
  local items = {}
  repeat
    local status = C.tide_results_read(c, parsed, topic_count or 0)
    for i = 0, parsed.item_count - 1 do
      local item = parsed.items[i]
      local finished = item.kind == C.TIDE_ITEM_FINISHED
      local entry = { kind = tonumber(item.kind), record = item.record }
      if not finished then
        if look then look(item, parsed.messages[item.message]) end
        entry.message = batch.fields(parsed.messages[item.message])
      end
      items[#items + 1] = entry
      if finished then c.release.released = c.release.released + 1 end
    end
    if status < 0 then return items, status end
  until parsed.item_count == 0
  return items, C.TIDE_OK
end

return batch
