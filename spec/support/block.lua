-- SPDX-License-Identifier: MIT
-- An input block as chain/batch.c lays it out, and the worker's loop over it: for specs and benchmarks in one process.
local ffi = require 'ffi'
local C = require('tidemill.run.ffi').C
local fuse = require 'tidemill.run.fuse'
local writer = require 'tidemill.run.result'

local block = {}
block.__index = block

local RECORD, RESULT = ffi.sizeof 'struct tide_record', ffi.sizeof 'struct tide_result'

local function aligned(size)
  return bit.band(size + 7, bit.bnot(7))
end

local function put(memory, at, value, index)
  local record = ffi.cast('struct tide_record *', memory + at)
  record.size = aligned(RECORD + #value)
  record.offset, record.timestamp, record.partition = index, 1000 + index, 0
  record.value_length, record.key_length = #value, -1
  record.target_topic, record.target_partition = C.TIDE_TOPIC_NONE, C.TIDE_PARTITION_ANY
  ffi.copy(memory + at + RECORD, value, #value)
  return at + record.size
end

--- Records with these values; `most` bytes of output (twice the input and 1 MiB, unless told).
function block.new(values, most)
  local size = C.TIDE_BLOCK_TAIL
  for _, value in ipairs(values) do size = size + aligned(RECORD + #value) end
  local self = setmetatable({ count = #values, most = most or size * 2 + 1048576 }, block)
  self.input, self.output = ffi.new('char[?]', size), ffi.new('char[?]', 64 + self.most)
  local at = 0
  for i, value in ipairs(values) do at = put(self.input, at, value, i - 1) end
  return self
end

--- The loop of a worker around one function.
function block.loop(fn)
  return fuse.loop { fn, where = { 'spec' } }
end

--- Runs a loop over all records. Raises what the function raises.
function block:run(loop)
  local output = ffi.cast('struct tide_output *', self.output)
  writer.open(output, self.most, self.most)
  local done = loop(ffi.cast('const struct tide_record *', self.input), 0, self.count)
  assert(done, 'the output block is full')
  self.bytes = tonumber(output.progress / 0x100000000ULL)
  return self
end

--- What the last run wrote: an array by record (from 1) of values; false = null, "=" = the input's, absent = none.
function block:values()
  local list, at = {}, 64
  while at < 64 + self.bytes do
    local result = ffi.cast('struct tide_result *', self.output + at)
    local value = result.value_length >= 0 and ffi.string(self.output + at + RESULT, result.value_length) or false
    if bit.band(result.inherit, C.TIDE_INHERIT_VALUE) ~= 0 then value = '=' end
    if result.kind == C.TIDE_RESULT_REJECT then value = '!' .. value end
    list[result.index + 1] = value
    at = at + result.size
  end
  return list
end

return block
