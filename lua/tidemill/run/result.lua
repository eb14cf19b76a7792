-- SPDX-License-Identifier: MIT
-- run/result.lua: the writer of an output block (shm/layout.h). It knows where the next result goes, how much room is
-- left and what to answer when there is none; the bytes of a message's result are written by run/message.lua, which
-- has the message. A worker fills one block at a time, so the cursor lives in upvalues of this file: the loops need not
-- pass it on, and LuaJIT keeps it in registers.
local ffi = require("ffi")
local bit = require("bit")
local C = require("tidemill.run.ffi").C
local answer = require("tidemill.run.answer")

local cast, copy = ffi.cast, ffi.copy
local band, bnot = bit.band, bit.bnot
local result_type = ffi.typeof("struct tide_result *")
local HEAD, RESULT = ffi.sizeof("struct tide_output"), ffi.sizeof("struct tide_result")
local KIND_REJECT, KIND_RETRY = C.TIDE_RESULT_REJECT, C.TIDE_RESULT_RETRY
local REJECT, RETRY, FULL = answer.REJECT, answer.RETRY, answer.FULL

local result = {}

-- In C's memory, as pointers in upvalues would be boxed.
local block = ffi.new("struct { struct tide_output *output; char *base; }")
local at = 0 -- bytes in use
local start = 0 -- where the results of the record (of reduce: of the accumulation) in progress begin
local size, most = 0, 0 -- bytes for all results, and for those of one record in an empty block

--- Begins a block: `bytes` for results, `most_bytes` when one record has the block to itself.
function result.open(output, bytes, most_bytes)
  block.output, block.base = output, cast("char *", output) + HEAD
  at, start, size, most = 0, 0, bytes, most_bytes
end

--- Where the next result goes, and how many bytes it may have.
function result.place()
  return block.base + at, (start == 0 and most or size) - at
end

--- The result at result.place() is written and has so many bytes.
function result.add(bytes)
  at = at + bytes
end

--- The outcome of a result of `wanted` bytes that does not fit: the block is full, or, when the record had it to
--- itself, the record is rejected.
function result.no_room(wanted)
  if start > 0 then return FULL end
  return REJECT, "too_large", ("the result%s %d bytes, more than max_output_block_size (%d)"):format(
    at > 0 and "s take at least" or " takes", at + wanted, most)
end

--- Takes back what was written of the record in progress.
function result.rewind()
  at = start
end

--- The results of the next record begin here.
function result.begin()
  start = at
end

--- True while the record in progress has the whole block to itself.
function result.is_first()
  return start == 0
end

--- Records before `index` are done, and their results stand.
function result.publish(index)
  C.tide_worker_publish(block.output, index, at)
  start = at
end

--- Says only that the worker is at record `index`; no result stands yet.
function result.publish_position(index)
  C.tide_worker_publish(block.output, index, 0)
end

--- After an error: goes on behind what is published. The index of the record that was in progress.
function result.resume()
  local progress = block.output.progress
  at = tonumber(progress / 0x100000000ULL)
  start = at
  return tonumber(progress % 0x100000000ULL)
end

--- Text as C has it: with \x00 for a NUL, which would end it; at most `longest` bytes, without a part of a character
--- of UTF-8 at the end.
function result.cut(text, longest)
  text = text:sub(1, longest + 4)
  if text:find("\0", 1, true) then text = text:gsub("%z", "\\x00") end
  if #text <= longest then return text end
  local last = longest
  while last > longest - 3 and band(text:byte(last + 1), 0xC0) == 0x80 do last = last - 1 end
  return (text:sub(1, last))
end

-- Texts are cut so that they fit any block. `outcome` is returned when there was room.
local function write_texts(kind, outcome, index, reason, text, traceback)
  local texts = reason .. "\0" .. result.cut(text, 1500) .. "\0" .. result.cut(traceback or "", 2000) .. "\0"
  local bytes = band(RESULT + #texts + 7, bnot(7))
  local to, room = result.place()
  if bytes > room then return FULL end
  local written = cast(result_type, to)
  ffi.fill(written, RESULT)
  written.size, written.index, written.kind = bytes, index, kind
  written.value_length, written.key_length = #texts, -1
  written.topic, written.partition, written.timestamp = C.TIDE_TOPIC_NONE, C.TIDE_PARTITION_ANY, -1
  copy(to + RESULT, texts, #texts)
  at = at + bytes
  return outcome
end

--- Writes that record `index` is rejected: REJECT, or FULL when there is no room to say so.
function result.reject(index, reason, text, traceback)
  return write_texts(KIND_REJECT, REJECT, index, reason, text, traceback)
end

--- Writes that record `index` is to be tried again: RETRY or FULL.
function result.retry(index, text)
  return write_texts(KIND_RETRY, RETRY, index, "retry", text)
end

return result
