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
local protobuf_read = require("tidemill.lib.protobuf_read")
local protobuf_types = require("tidemill.lib.protobuf_types")
local protobuf_write = require("tidemill.lib.protobuf_write")

local protobuf = {}

local MOST_ID, MOST_INDEX = 2 ^ 32 - 1, 2 ^ 31 - 1

-- What works with the bytes is in closures and no field, so that a script cannot call it with others.
local function type_of(node)
  local read, write = protobuf_read.make(node), protobuf_write.make(node)
  local made = { name = node.name }
  function made.decode(_, bytes)
    arguments.text(bytes, "type:decode")
    local value, problem = read(bytes)
    if value == nil then return nil, "protobuf: " .. problem end
    return value
  end
  function made.encode(_, value)
    local bytes, problem = write(value)
    if not bytes then error("type:encode: " .. problem, 2) end
    return bytes
  end
  return made
end

local function types_of(set)
  local kept, types = {}, {}
  -- The type of a node; nil and why it cannot be used.
  local function get(node)
    if kept[node] then return kept[node] end
    local ok, made = pcall(type_of, node)
    if not ok and type(made) ~= "table" then error(made, 0) end
    if not ok then return nil, "protobuf: " .. made[1] end
    kept[node] = made
    return made
  end

  function types.message(_, name)
    arguments.text(name, "types:message")
    local node = set.types[name]
    if not node or not node.fields then error(("types:message: there is no message %q"):format(name), 2) end
    local made, problem = get(node)
    if not made then error("types:message: " .. problem, 2) end
    return made
  end

  function types.at(_, indexes)
    if type(indexes) ~= "table" then error("types:at takes a list of indexes, got " .. arguments.shown(indexes), 2) end
    local list, node = set.last, nil
    for i = 1, #indexes do
      node = list[(tonumber(indexes[i]) or -1) + 1]
      if not node then return nil, "protobuf: there is no message with these indexes" end
      list = node.nested
    end
    if not node then return nil, "protobuf: no indexes" end
    return get(node)
  end

  return types
end

function protobuf.types(bytes)
  arguments.text(bytes, "tide.protobuf.types")
  local set, problem = protobuf_types.read(bytes)
  if not set then error("tide.protobuf.types: " .. problem, 2) end
  return types_of(set)
end

function protobuf.load(path)
  arguments.text(path, "tide.protobuf.load")
  local bytes, problem = beside.read(path, debug.getinfo(2, "S"))
  if not bytes then error("tide.protobuf.load: " .. problem, 2) end
  local set
  set, problem = protobuf_types.read(bytes)
  if not set then error(("tide.protobuf.load: %s: %s"):format(path, problem), 2) end
  return types_of(set)
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
