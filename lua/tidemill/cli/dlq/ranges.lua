-- SPDX-License-Identifier: MIT
-- cli/dlq/ranges.lua: which dead letters of a partition are processed (replayed or dropped), as a committed offset can
-- keep it: all before `from`, and what its metadata tells: "r" and the lengths of stretches that are not and that are,
-- in turn, or "b" and a bit for each offset.
local bit = require("bit")
local base64 = require("tidemill.lib.base64")

local ranges = {}

--- Characters of metadata that a broker takes (offset.metadata.max.bytes).
ranges.MOST = 4096

local DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

local function base36(number)
  local text = ""
  repeat
    local digit = number % 36
    text, number = DIGITS:sub(digit + 1, digit + 1) .. text, (number - digit) / 36
  until number == 0
  return text
end

local function decode_lengths(from, text, list)
  local at, processed = from, false
  for length in text:gmatch("%w+") do
    local stop = at + tonumber(length, 36)
    if processed then list[#list + 1] = { at, stop - 1 } end
    at, processed = stop, not processed
  end
end

local function decode_bits(from, text, list)
  local bytes = base64.decode(text) or ""
  for i = 0, #bytes * 8 - 1 do
    if bit.band(bytes:byte(math.floor(i / 8) + 1), bit.lshift(1, i % 8)) ~= 0 then
      local last = list[#list]
      if last and last[2] == from + i - 1 then last[2] = from + i else list[#list + 1] = { from + i, from + i } end
    end
  end
end

--- Returns a function of an offset: whether it is processed. `from` < 0: none is.
function ranges.decode(from, metadata)
  local list, kind = {}, metadata:sub(1, 1)
  if kind == "r" then decode_lengths(from, metadata:sub(2), list) end
  if kind == "b" then decode_bits(from, metadata:sub(2), list) end
  return function(offset)
    if offset < from then return true end
    local low, high = 1, #list
    while low <= high do
      local middle = math.floor((low + high) / 2)
      if offset < list[middle][1] then
        high = middle - 1
      elseif offset > list[middle][2] then
        low = middle + 1
      else
        return true
      end
    end
    return false
  end
end

local function encode_lengths(from, list)
  local parts, at = {}, from
  for _, range in ipairs(list) do
    parts[#parts + 1] = base36(range[1] - at)
    parts[#parts + 1] = base36(range[2] - range[1] + 1)
    at = range[2] + 1
  end
  return "r" .. table.concat(parts, ".")
end

local function encode_bits(from, list)
  local size = math.floor((list[#list][2] - from) / 8) + 1
  if size > ranges.MOST then return nil end
  local bytes = {}
  for i = 1, size do bytes[i] = 0 end
  for _, range in ipairs(list) do
    for i = range[1] - from, range[2] - from do
      local at = math.floor(i / 8) + 1
      bytes[at] = bit.bor(bytes[at], bit.lshift(1, i % 8))
    end
  end
  for i = 1, size do bytes[i] = string.char(bytes[i]) end
  return "b" .. base64.encode(table.concat(bytes))
end

--- `seen` holds the offsets of the dead letters there are, rising; `is_processed` is a function of one. Offsets without
--- a dead letter (markers of transactions, compaction) go with the one before them. Returns the offset and the
--- metadata.
function ranges.encode(seen, is_processed)
  local from, list, last = nil, {}, false
  for _, offset in ipairs(seen) do
    local processed = is_processed(offset)
    if not processed then
      from = from or offset
    elseif from and last then
      list[#list][2] = offset
    elseif from then
      list[#list + 1] = { offset, offset }
    end
    last = processed
  end
  if not from then return #seen > 0 and seen[#seen] + 1 or 0, "" end
  if #list == 0 then return from, "" end
  local lengths, bits = encode_lengths(from, list), encode_bits(from, list)
  return from, bits and #bits < #lengths and bits or lengths
end

return ranges
