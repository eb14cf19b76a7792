-- SPDX-License-Identifier: MIT
-- lib/confluent.lua: the wire format of Confluent's serializers: a byte 0, the number of the schema in a registry in
-- four bytes, big-endian, then the value. Before a value of Protocol Buffers stands which message of the schema it is:
-- a count and as many indexes (zigzag, varint), from the outer message to the inner one; one byte 0 is the first
-- message.
-- Source: Confluent's documentation, "Formats, Serializers, and Deserializers", "Wire format".
local ffi = require("ffi")
local varint = require("tidemill.lib.varint")

local confluent = {}

local MOST_INDEXES, MOST_INDEX = 100, 2 ^ 31 - 1

--- The number of the schema, and the bytes behind it; nil and the reason.
function confluent.split(bytes)
  local magic, a, b, c, d = bytes:byte(1, 5)
  if not d then return nil, ("%d bytes, and a value with the number of a schema has 5 at least"):format(#bytes) end
  if magic ~= 0 then
    return nil, ("the first byte is %d, and 0 is what Confluent's wire format begins with"):format(magic)
  end
  return a * 2 ^ 24 + b * 2 ^ 16 + c * 2 ^ 8 + d, bytes:sub(6)
end

--- The bytes before a value.
function confluent.head(id)
  return string.char(0, math.floor(id / 2 ^ 24), math.floor(id / 2 ^ 16) % 256, math.floor(id / 2 ^ 8) % 256, id % 256)
end

local function read_indexes(bytes)
  local p = ffi.cast("const uint8_t *", bytes)
  local count, at = varint.read_zigzag(p, 0, #bytes)
  if count == 0 then return { 0 }, at end
  if type(count) ~= "number" or count < 0 or count > MOST_INDEXES then varint.fail(0, "no count of message indexes") end
  local list = {}
  for i = 1, count do
    list[i], at = varint.read_zigzag(p, at, #bytes)
    if type(list[i]) ~= "number" or list[i] < 0 or list[i] > MOST_INDEX then
      varint.fail(at, "a message index below 0 or beyond 2^31")
    end
  end
  return list, at
end

--- The message indexes (from 0) before a value of Protocol Buffers, and the bytes behind them; nil and the reason.
function confluent.split_indexes(bytes)
  local ok, list, at = pcall(read_indexes, bytes)
  if ok then return list, bytes:sub(at + 1) end
  if type(list) ~= "table" then error(list, 0) end
  return nil, ("%s, at byte %d"):format(list[1], list.at)
end

--- The bytes of message indexes.
function confluent.indexes_head(list)
  if #list == 1 and list[1] == 0 then return "\0" end
  varint.begin()
  varint.put_zigzag(#list)
  for _, index in ipairs(list) do varint.put_zigzag(index) end
  return varint.text()
end

return confluent
