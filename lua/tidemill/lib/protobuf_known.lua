-- SPDX-License-Identifier: MIT
-- lib/protobuf_known.lua: the descriptors of the types that come with protoc (google/protobuf/timestamp.proto and the
-- like), as tables of descriptor.proto. A schema registry leaves them out of what a schema refers to, since every
-- client has them.
local TYPES = { double = 1, float = 2, int64 = 3, uint64 = 4, int32 = 5, bool = 8, string = 9, message = 11, bytes = 12,
  uint32 = 13, enum = 14 }
local OPTIONAL, REPEATED = 1, 3
local PACKAGE = ".google.protobuf."

-- fields: a list of { name, kind or the name of a message, "repeated" or nil }; their numbers are their places.
local function message(name, fields, oneof)
  local descriptor = { name = name, field = {}, nested_type = {}, enum_type = {}, oneof_decl = {} }
  for i, field in ipairs(fields) do
    local kind = TYPES[field[2]] or field[2] == "NullValue" and TYPES.enum or TYPES.message
    descriptor.field[i] = { name = field[1], number = i, label = field[3] and REPEATED or OPTIONAL, type = kind,
      type_name = not TYPES[field[2]] and PACKAGE .. field[2] or nil, oneof_index = oneof and 0 or nil }
  end
  if oneof then descriptor.oneof_decl[1] = { name = oneof } end
  return descriptor
end

local struct = message("Struct", { { "fields", "Struct.FieldsEntry", "repeated" } })
struct.nested_type[1] = message("FieldsEntry", { { "key", "string" }, { "value", "Value" } })
struct.nested_type[1].options = { map_entry = true }

local list = {
  message("Timestamp", { { "seconds", "int64" }, { "nanos", "int32" } }),
  message("Duration", { { "seconds", "int64" }, { "nanos", "int32" } }),
  message("Any", { { "type_url", "string" }, { "value", "bytes" } }),
  message("Empty", {}),
  message("FieldMask", { { "paths", "string", "repeated" } }),
  struct,
  message("Value", { { "null_value", "NullValue" }, { "number_value", "double" }, { "string_value", "string" },
    { "bool_value", "bool" }, { "struct_value", "Struct" }, { "list_value", "ListValue" } }, "kind"),
  message("ListValue", { { "values", "Value", "repeated" } }),
}
for name, kind in pairs { DoubleValue = "double", FloatValue = "float", Int64Value = "int64", UInt64Value = "uint64",
  Int32Value = "int32", UInt32Value = "uint32", BoolValue = "bool", StringValue = "string", BytesValue = "bytes" } do
  list[#list + 1] = message(name, { { "value", kind } })
end

return { space = "google.protobuf.", messages = list,
  enums = { { name = "NullValue", value = { { name = "NULL_VALUE", number = 0 } } } } }
