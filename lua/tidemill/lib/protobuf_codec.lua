-- SPDX-License-Identifier: MIT
-- lib/protobuf_codec.lua: the types of descriptors as objects (lib/protobuf.lua has what they give and take).
local arguments = require("tidemill.lib.arguments")
local protobuf_read = require("tidemill.lib.protobuf_read")
local protobuf_types = require("tidemill.lib.protobuf_types")
local protobuf_write = require("tidemill.lib.protobuf_write")
local varint = require("tidemill.lib.varint")

local protobuf_codec = {}

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
    if not ok then return nil, ("protobuf: %s: %s"):format(node.name, made[1]) end
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

--- The types of a set of descriptors; nil and the reason.
function protobuf_codec.make(bytes)
  local set, problem = protobuf_types.read(bytes)
  if not set then return nil, problem end
  return types_of(set)
end

--- The types of the descriptors of files, of which the last one is the one whose messages have indexes.
function protobuf_codec.of_files(list)
  local set = {}
  for i, bytes in ipairs(list) do
    varint.begin()
    varint.put_byte(10) -- the field `file` of a set
    varint.put(#bytes)
    set[i] = varint.text() .. bytes
  end
  return protobuf_codec.make(table.concat(set))
end

return protobuf_codec
