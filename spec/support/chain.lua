-- SPDX-License-Identifier: MIT
-- What the steps of a chain share (chain/step.h), without an engine: for specs of one module of it.
local ffi = require "ffi"
local C = require("spec.support.headers").declare("chain/step.h", "chain/offsets.h", "chain/dlq.h", "chain/commit.h",
  "io/source.h")
local batches = require "spec.support.batch"

local chain = { C = C }
chain.__index = chain

local totals = ffi.new "struct tide_offsets_totals"

--- Topic "in" is number 0; partitions 0 .. partitions - 1 (2) are assigned.
function chain.new(partitions)
  local self = setmetatable({ c = ffi.new "struct tide_chain" }, chain)
  self.topics = ffi.gc(C.tide_topics_new(), C.tide_topics_free)
  self.counters = ffi.gc(C.tide_counters_new(1), C.tide_counters_free)
  self.offsets = ffi.gc(C.tide_offsets_new(), C.tide_offsets_free)
  self.c.topics, self.c.counters, self.c.offsets = self.topics, self.counters, self.offsets
  local count, topic = partitions or 2, C.tide_topics_number(self.topics, "in")
  self.partitions = ffi.new("struct tide_partition[?]", count)
  self.source = ffi.new("struct tide_source", { partitions = self.partitions, partition_count = count })
  self.c.source = self.source
  for i = 0, count - 1 do
    self.partitions[i].topic, self.partitions[i].number = topic, i
    C.tide_offsets_assign(self.offsets, i)
  end
  return self
end

--- Opens a message of the partition (0) and returns it as a struct tide_message; see support/batch.message for fields.
function chain:read(fields, partition)
  fields = fields or {}
  fields.partition = partition or 0
  fields.offset = fields.offset or math.max(0, tonumber(C.tide_offsets_read_to(self.offsets, fields.partition)))
  fields.origin = C.tide_offsets_open(self.offsets, fields.partition, fields.offset)
  local message, keep = batches.message(fields)
  self.keep = { self.keep, keep }
  return message
end

function chain:done(message, outcome)
  C.tide_offsets_unref(self.offsets, message.origin, outcome or C.TIDE_OUTCOME_FILTERED)
end

function chain:position(partition)
  return tonumber(C.tide_offsets_position(self.offsets, partition or 0))
end

function chain:totals()
  C.tide_offsets_totals(self.offsets, totals)
  return totals
end

function chain:count(metric)
  return tonumber(C.tide_counters_get(self.counters, 0, metric).count)
end

return chain
