-- SPDX-License-Identifier: MIT
-- Descriptors of Protocol Buffers (google/protobuf/descriptor.proto), written by hand where protoc would write them.
local descriptors = {}

local function varint(number)
  if number < 128 then return string.char(number) end
  return string.char(number % 128 + 128) .. varint(math.floor(number / 128))
end

local KINDS = { double = 1, float = 2, int64 = 3, uint64 = 4, int32 = 5, fixed64 = 6, fixed32 = 7, bool = 8, string = 9,
  message = 11, bytes = 12, uint32 = 13, enum = 14, sfixed32 = 15, sfixed64 = 16, sint32 = 17, sint64 = 18 }
local REPEATED = 3

--- A field of wire type 2: bytes with their length.
function descriptors.part(number, text)
  return varint(number * 8 + 2) .. varint(#text) .. text
end

local part = descriptors.part

--- A field of a message: `options` are { type = full name, repeated = true, oneof = its number from 0 }.
function descriptors.field(name, number, kind, options)
  options = options or {}
  return part(2, part(1, name) .. varint(24) .. varint(number) .. varint(32)
    .. varint(options.repeated and REPEATED or 1) .. varint(40) .. varint(KINDS[kind])
    .. (options.type and part(6, options.type) or "") .. (options.oneof and varint(72) .. varint(options.oneof) or ""))
end

local field = descriptors.field

--- The message, within another, that is an entry of a map.
function descriptors.entry(name, key, value, options)
  return part(3, part(1, name) .. field("key", 1, key) .. field("value", 2, value, options) .. part(7, "\56\1"))
end

--- A set of one file with these messages (the bytes of fields, entries and so on, by name), of proto3.
function descriptors.set(package, messages)
  local parts = {}
  for i, message in ipairs(messages) do parts[i] = part(4, part(1, message[1]) .. message[2]) end
  return part(1, part(1, "f.proto") .. (package and part(2, package) or "") .. table.concat(parts)
    .. part(12, "proto3"))
end

return descriptors
