-- SPDX-License-Identifier: MIT
-- lib/protobuf_types.lua: reads descriptors, as `protoc --include_imports --descriptor_set_out=FILE` writes them (a
-- FileDescriptorSet of google/protobuf/descriptor.proto). A message type is a node:
--   { name = full name, fields = { field, ... } by number, proto3 = boolean, entry = it is that of a map }
--   field = { name =, number =, kind = "int32" ... "message", node = (of a message or enum), repeated =, packed =,
--     map =, required =, presence = (absence differs from the default), oneof = (its name),
--     initial = (the value when it is
--     absent and has no presence) }
--   A node that cannot be used has `problem`, a text.
--   an enum: { name =, names = { [number] = name }, numbers = { [name] = number }, first = its first number }
local known = require("tidemill.lib.protobuf_known")
local protobuf_read = require("tidemill.lib.protobuf_read")

local protobuf_types = {}

local KINDS = { "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "group",
  "message", "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64" }
local LABEL_REQUIRED, LABEL_REPEATED = 2, 3
local INITIAL = { bool = false, string = "", bytes = "" }

local function fail(text, ...)
  error({ text:format(...) }, 0)
end

-- ---- the descriptors of descriptors ----

local function message(name, list)
  local node = { name = name, fields = {} }
  for number, one in pairs(list) do
    local field = { name = one[1], number = number, kind = one[2], repeated = one[4] and true, node = one[3],
      presence = not one[4] }
    table.insert(node.fields, field)
  end
  return node
end

local OPTIONS = message("FieldOptions", { [2] = { "packed", "bool" } })
local FIELD = message("FieldDescriptorProto", { { "name", "string" }, [3] = { "number", "int32" },
  [4] = { "label", "int32" }, [5] = { "type", "int32" }, [6] = { "type_name", "string" },
  [8] = { "options", "message", OPTIONS }, [9] = { "oneof_index", "int32" }, [17] = { "proto3_optional", "bool" } })
local VALUE = message("EnumValueDescriptorProto", { { "name", "string" }, { "number", "int32" } })
local ENUM = message("EnumDescriptorProto", { { "name", "string" }, { "value", "message", VALUE, true } })
local ONEOF = message("OneofDescriptorProto", { { "name", "string" } })
local MESSAGE = message("DescriptorProto", { { "name", "string" }, { "field", "message", FIELD, true },
  [4] = { "enum_type", "message", ENUM, true },
  [7] = { "options", "message", message("MessageOptions", { [7] = { "map_entry", "bool" } }) },
  [8] = { "oneof_decl", "message", ONEOF, true } })
table.insert(MESSAGE.fields, { name = "nested_type", number = 3, kind = "message", repeated = true, node = MESSAGE })
local FILE = message("FileDescriptorProto", { { "name", "string" }, { "package", "string" },
  [4] = { "message_type", "message", MESSAGE, true }, [5] = { "enum_type", "message", ENUM, true },
  [12] = { "syntax", "string" } })
local SET = message("FileDescriptorSet", { { "file", "message", FILE, true } })

-- ---- types ----

-- The full name of a descriptor, which is of no other one.
local function declare(types, descriptor, space, what)
  if not descriptor.name or descriptor.name == "" then fail("%s has no name", what) end
  local name = space .. descriptor.name
  if types[name] then fail("%s is declared twice", name) end
  types[name] = true
  return name
end

local function add_enum(types, descriptor, space)
  local enum = { name = declare(types, descriptor, space, "an enum"), names = {}, numbers = {} }
  for _, value in ipairs(descriptor.value) do
    if not value.name then fail("%s has a value without a name", enum.name) end
    local number = value.number or 0
    enum.first = enum.first or number
    enum.names[number] = enum.names[number] or value.name
    enum.numbers[value.name] = number
  end
  types[enum.name] = enum
end

local function add_message(types, descriptor, space, proto3)
  local node = { name = declare(types, descriptor, space, "a message"), fields = {}, proto3 = proto3,
    descriptor = descriptor, nested = {}, entry = descriptor.options ~= nil and descriptor.options.map_entry == true }
  types[node.name] = node
  for _, enum in ipairs(descriptor.enum_type) do add_enum(types, enum, node.name .. ".") end
  for i, inner in ipairs(descriptor.nested_type) do
    node.nested[i] = add_message(types, inner, node.name .. ".", proto3)
  end
  return node
end

-- The value of an absent field without presence.
local function initial_of(field)
  if field.kind == "enum" then return field.node.names[0] or 0 end
  if INITIAL[field.kind] ~= nil then return INITIAL[field.kind] end
  return 0
end

local function field_of(types, node, descriptor)
  local kind = KINDS[descriptor.type]
  local name = ("%s.%s"):format(node.name, tostring(descriptor.name))
  if not descriptor.name then fail("%s has a field without a name", node.name) end
  if not kind or kind == "group" then fail("%s is of the type %s, which is not supported", name, kind or "?") end
  if type(descriptor.number) ~= "number" or descriptor.number < 1 or descriptor.number > 2 ^ 29 - 1 then
    fail("%s has no number", name)
  end
  local field = { name = descriptor.name, number = descriptor.number, kind = kind,
    repeated = descriptor.label == LABEL_REPEATED, required = descriptor.label == LABEL_REQUIRED }
  if kind == "message" or kind == "enum" then
    field.node = types[(descriptor.type_name or ""):gsub("^%.", "")]
    if not field.node or (kind == "enum") ~= (field.node.numbers ~= nil) then
      fail("%s is of the type %s, which is not there: was it made with --include_imports?", name,
        tostring(descriptor.type_name))
    end
  end
  local oneof = descriptor.oneof_index and not descriptor.proto3_optional
    and node.descriptor.oneof_decl[descriptor.oneof_index + 1]
  field.oneof = oneof and oneof.name or nil
  field.map = field.repeated and kind == "message" and field.node.entry
  field.presence = not field.repeated and (kind == "message"
    or not node.entry and (not node.proto3 or descriptor.oneof_index ~= nil))
  if not field.presence and not field.repeated then field.initial = initial_of(field) end
  local may_pack = field.repeated and kind ~= "message" and kind ~= "string" and kind ~= "bytes"
  local packed = descriptor.options and descriptor.options.packed
  if packed == nil then packed = node.proto3 end
  field.packed = may_pack and packed
  return field
end

local KEYS = { int64 = true, uint64 = true, int32 = true, fixed64 = true, fixed32 = true, bool = true, string = true,
  uint32 = true, sfixed32 = true, sfixed64 = true, sint32 = true, sint64 = true }

-- The message that stands for an entry of a map.
local function check_entry(node)
  local key, value = node.fields[1], node.fields[2]
  if #node.fields ~= 2 or key.number ~= 1 or key.name ~= "key" or value.number ~= 2 or value.name ~= "value"
    or key.repeated or value.repeated or not KEYS[key.kind] then
    fail("%s is no entry of a map", node.name)
  end
end

local function check_names(node)
  local seen = {}
  for i, field in ipairs(node.fields) do
    if i > 1 and node.fields[i - 1].number == field.number then
      fail("%s has the number %d twice", node.name, field.number)
    end
    if seen[field.name] then fail("%s has the field %s twice", node.name, field.name) end
    seen[field.name] = true
  end
  if node.entry then check_entry(node) end
end

local function add_fields(types, node)
  for i, descriptor in ipairs(node.descriptor.field) do node.fields[i] = field_of(types, node, descriptor) end
  table.sort(node.fields, function(a, b) return a.number < b.number end)
  check_names(node)
  for _, field in ipairs(node.fields) do
    if field.oneof then -- the other members, which it takes away
      field.others = {}
      for _, other in ipairs(node.fields) do
        if other ~= field and other.oneof == field.oneof then table.insert(field.others, other.name) end
      end
    end
  end
end

-- Those of protoc that no file of the set declares.
local function add_known(types)
  for _, enum in ipairs(known.enums) do
    if not types[known.space .. enum.name] then add_enum(types, enum, known.space) end
  end
  for _, descriptor in ipairs(known.messages) do
    if not types[known.space .. descriptor.name] then add_message(types, descriptor, known.space, true) end
  end
end

local function types_of(set)
  local types, last = {}, nil
  for _, file in ipairs(set.file) do
    local syntax = file.syntax or "proto2"
    if syntax ~= "proto2" and syntax ~= "proto3" then
      fail('%s says syntax = "%s"; proto2 and proto3 are supported', tostring(file.name), syntax)
    end
    local space = file.package and file.package ~= "" and file.package .. "." or ""
    for _, enum in ipairs(file.enum_type) do add_enum(types, enum, space) end
    last = {}
    for i, descriptor in ipairs(file.message_type) do
      last[i] = add_message(types, descriptor, space, syntax == "proto3")
    end
  end
  if not last then fail("no file is in it") end
  add_known(types)
  for _, node in pairs(types) do
    local ok, problem = true, nil
    if node.fields then ok, problem = pcall(add_fields, types, node) end
    if not ok and type(problem) ~= "table" then error(problem, 0) end
    if not ok then node.problem = problem[1] end -- for those who ask for it: other messages are not concerned
  end
  return { types = types, last = last }
end

local read_set

--- { types = { full name = node }, last = the messages of the last file, which is the one that protoc was given }; nil
--- and the reason.
function protobuf_types.read(bytes)
  read_set = read_set or protobuf_read.make(SET)
  local set, problem = read_set(bytes)
  if not set then return nil, "no set of descriptors: " .. problem end
  local ok, types = pcall(types_of, set)
  if ok then return types end
  if type(types) ~= "table" then error(types, 0) end
  return nil, "the descriptors: " .. types[1]
end

return protobuf_types
