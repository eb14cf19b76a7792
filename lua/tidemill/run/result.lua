-- SPDX-License-Identifier: MIT
-- run/result.lua: the bytes of results in an output block (shm/layout.h), but for the message's own: those are
-- written by run/message.lua, which knows them.
local ffi = require("ffi")
local bit = require("bit")
local null = require("cjson").null
local C = require("tidemill.run.ffi").C

local cast, copy = ffi.cast, ffi.copy
local band, bnot = bit.band, bit.bnot
local result_type = ffi.typeof "struct tide_result *"
local RESULT = ffi.sizeof "struct tide_result"
local REJECT, RETRY = C.TIDE_RESULT_REJECT, C.TIDE_RESULT_RETRY

local result = {}

--- Text as C has it: with \x00 for a NUL, which would end it; at most `most` bytes, without a part of a character of
--- UTF-8 at the end.
function result.cut(text, most)
  text = text:sub(1, most + 4)
  if text:find("\0", 1, true) then text = text:gsub("%z", "\\x00") end
  if #text <= most then return text end
  local last = most
  while last > most - 3 and band(text:byte(last + 1), 0xC0) == 0x80 do last = last - 1 end
  return (text:sub(1, last))
end

--- Bytes of an array of { name, value } in packed form (shm/layout.h).
function result.headers_size(headers)
  local size = 0
  for i = 1, #headers do
    local content = headers[i][2]
    size = size + 8 + #headers[i][1] + ((content ~= nil and content ~= null) and #content or 0)
  end
  return size
end

local lengths = ffi.typeof "int32_t *"

--- Packs it.
function result.put_headers(headers, to)
  for i = 1, #headers do
    local name, content = headers[i][1], headers[i][2]
    local given = content ~= nil and content ~= null
    local sizes = ffi.new("int32_t[2]", #name, given and #content or -1)
    copy(cast("char *", to), cast(lengths, sizes), 8)
    copy(to + 8, name, #name)
    if given then copy(to + 8 + #name, content, #content) end
    to = to + 8 + #name + (given and #content or 0)
  end
end

--- Writes a rejection of record `index`, or, for the reason "retry", that it is to be tried again;
--- texts are cut so that it fits any block.
function result.reject(base, at, index, room, reason, text, traceback)
  local told = reason .. "\0" .. result.cut(text, 1500) .. "\0" .. result.cut(traceback or "", 2000) .. "\0"
  local size = band(RESULT + #told + 7, bnot(7))
  if at + size > room then return nil, size end
  local written = cast(result_type, base + at)
  ffi.fill(written, RESULT)
  written.size, written.index, written.kind = size, index, reason == "retry" and RETRY or REJECT
  written.value_length, written.key_length = #told, -1
  written.topic, written.partition, written.timestamp = C.TIDE_TOPIC_NONE, C.TIDE_PARTITION_ANY, -1
  copy(base + at + RESULT, told, #told)
  return at + size
end

return result
