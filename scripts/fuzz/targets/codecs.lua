-- SPDX-License-Identifier: MIT
-- Bytes of binary formats that a transform decodes: Avro and its schemas, Protocol Buffers and their descriptors, what
-- a schema registry answers, Confluent's wire format, MessagePack, gzip and zstd. Whatever they are, there is a value,
-- or nil and a reason; what was read can be written, and is read as the same value. Input: which reader, its bytes.
local ffi = require("ffi")
local bit = require("bit")

-- The readers get their bytes in memory that ends at a page which cannot be touched (fuzz.h).
ffi.cdef "char *fuzz_guarded_copy(unsigned number, const void *bytes, size_t size);"
local cast, bytes_type, guard = ffi.cast, ffi.typeof("const uint8_t *"), 0
function ffi.cast(kind, value) -- luacheck: ignore 122
  if type(value) ~= "string" or ffi.typeof(kind) ~= bytes_type then return cast(kind, value) end
  guard = bit.band(guard + 1, 3)
  return cast(bytes_type, ffi.C.fuzz_guarded_copy(guard, value, #value))
end

local answers = {} -- of the registry, one after the other
package.loaded["tidemill.lib.http"] = {
  request = function()
    local body = table.remove(answers, 1)
    if not body then return nil, "the registry is away" end
    return { status = 200, headers = {}, body = body }
  end,
}

local checks = require("scripts.fuzz.checks")
local tide = require("tidemill")
local sets = require("spec.support.codec_samples")

local check_answer, parts_of, same, try = checks.answer, checks.parts, checks.same, checks.try
local avro, protobuf, msgpack = tide.avro, tide.protobuf, tide.msgpack
local MOST = 2 ^ 16 -- bytes of a text that was compressed

-- Reads bytes, writes what was read, and reads it again. `strict`: what was read can be written.
local function check_codec(codec, bytes, name, strict)
  local value = check_answer(codec:decode(bytes))
  if value == nil then return end
  local encode = strict and function(error_name, fn, ...) return fn(...), error_name end or try
  local again = encode(name, codec.encode, codec, value)
  if again then assert(same(value, (codec:decode(again))), "another value is read of what was written") end
end

local tagged, untagged = {}, {}
for i, schema in ipairs(sets.AVRO) do
  tagged[i], untagged[i] = avro.schema(schema, { tagged = true }), avro.schema(schema)
end
local order = protobuf.types(sets.descriptors()):message "shop.Order"

local function one_of(list, text)
  return list[(text:byte() or 0) % #list + 1], text:sub(2)
end

local readers = {}

function readers.a(text)
  local codec, bytes = one_of(tagged, text)
  check_codec(codec, bytes, nil, true)
  codec, bytes = one_of(untagged, text)
  check_codec(codec, bytes, "schema:encode: ")
end

function readers.A(text)
  local schema, bytes = parts_of(text)
  local codec = try("tide.avro.schema: ", avro.schema, schema)
  if codec then check_codec(codec, bytes, "schema:encode: ") end
end

function readers.p(text)
  check_codec(order, text, nil, true)
end

function readers.P(text)
  local size = (text:byte(1) or 0) * 256 + (text:byte(2) or 0)
  local types = try("tide.protobuf.types: ", protobuf.types, text:sub(3, size + 2))
  if not types then return end
  local message = check_answer(types:at { 0 })
  if message then check_codec(message, text:sub(size + 3), "type:encode: ") end
end

function readers.c(text)
  local id, bytes = avro.unwrap(text)
  if check_answer(id, bytes) then assert(avro.wrap(id, bytes) == text, "another head") end
  local number, indexes, rest = protobuf.unwrap(text)
  if not check_answer(number, indexes) then return end
  local again = { protobuf.unwrap(protobuf.wrap(number, indexes, rest)) }
  assert(again[1] == number and same(again[2], indexes) and again[3] == rest, "another head")
end

function readers.r(text)
  local first, rest = parts_of(text)
  local second, bytes = parts_of(rest)
  local registry = tide.registry { url = "http://registry:8081" }
  answers = { first, second }
  check_answer(registry:decode("\0\0\0\0\7" .. bytes))
  answers = { first, second }
  local latest, reason = registry:latest "orders"
  check_answer(latest, reason)
  answers = { first }
  local bytes_or_none, problem = try("registry:encode: ", registry.encode, registry, "other", {})
  if problem then check_answer(bytes_or_none, problem) end
  answers = { second }
  check_answer(registry:register("orders", '"int"'))
end

function readers.m(text)
  local value = check_answer(msgpack.decode(text))
  if value == nil then return end
  assert(same(value, msgpack.decode(msgpack.encode(value))), "another value is read of what was written")
end

function readers.g(text)
  local found = check_answer(tide.gzip.decompress(text, MOST))
  if found then assert(tide.gzip.decompress(tide.gzip.compress(found)) == found, "another text") end
  found = check_answer(tide.zstd.decompress(text, MOST))
  if found then assert(tide.zstd.decompress(tide.zstd.compress(found)) == found, "another text") end
  found = check_answer(avro.decimal(text:sub(2, 40), (text:byte() or 0) % 40))
  if not found then return end
  local bytes = assert(avro.decimal_bytes(found, (text:byte() or 0) % 40))
  assert(avro.decimal(bytes, (text:byte() or 0) % 40) == found, "another decimal")
end

return function(text)
  local read = readers[text:sub(1, 1)]
  if read then read(text:sub(2)) end
end
