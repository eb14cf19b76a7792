-- SPDX-License-Identifier: MIT
-- lib/protobuf.lua: tide.protobuf, values of Protocol Buffers (proto2 and proto3, binary).
--   load(path), types(bytes) -> the types of a set of descriptors: types:message(name), types:at(indexes) -> a type
--   type:decode(bytes) -> a table; type:encode(table) -> the bytes
--   unwrap(bytes) -> number of the schema, message indexes, the bytes; wrap(number, indexes, bytes): Confluent's format
-- Lua has: integers as numbers, beyond 2^53 int64 or uint64; float, double numbers; bool a boolean; string and bytes
-- strings; an enum its name, or the number that has none; a message a table by the names of the .proto file; repeated a
-- tide.array; a map a table by texts. A field without presence that is absent has its initial value, one with presence
-- is nil. What is not known is skipped. decode gives nil and the reason, with field and byte; encode raises.
local arguments = require("tidemill.lib.arguments")
local beside = require("tidemill.lib.beside")
local confluent = require("tidemill.lib.confluent")
local protobuf_codec = require("tidemill.lib.protobuf_codec")

local protobuf = {}

local MOST_ID, MOST_INDEX = 2 ^ 32 - 1, 2 ^ 31 - 1

function protobuf.types(bytes)
  arguments.text(bytes, "tide.protobuf.types")
  local types, problem = protobuf_codec.make(bytes)
  if not types then error("tide.protobuf.types: " .. problem, 2) end
  return types
end

function protobuf.load(path)
  arguments.text(path, "tide.protobuf.load")
  local bytes, problem = beside.read(path, debug.getinfo(2, "S"))
  if not bytes then error("tide.protobuf.load: " .. problem, 2) end
  local types
  types, problem = protobuf_codec.make(bytes)
  if not types then error(("tide.protobuf.load: %s: %s"):format(path, problem), 2) end
  return types
end

function protobuf.unwrap(bytes)
  arguments.text(bytes, "tide.protobuf.unwrap")
  local id, rest = confluent.split(bytes)
  if not id then return nil, "protobuf: " .. rest end
  local indexes, value = confluent.split_indexes(rest)
  if not indexes then return nil, "protobuf: " .. value end
  return id, indexes, value
end

function protobuf.wrap(id, indexes, bytes)
  id = arguments.integer(id, "tide.protobuf.wrap: the number of a schema", 0, MOST_ID)
  if type(indexes) ~= "table" or #indexes == 0 or #indexes > 100 then
    error("tide.protobuf.wrap takes a list of message indexes, got " .. arguments.shown(indexes), 2)
  end
  local list = {}
  for i = 1, #indexes do
    list[i] = arguments.integer(indexes[i], "tide.protobuf.wrap: a message index", 0, MOST_INDEX)
  end
  arguments.text(bytes, "tide.protobuf.wrap")
  return confluent.head(id) .. confluent.indexes_head(list) .. bytes
end

return protobuf
