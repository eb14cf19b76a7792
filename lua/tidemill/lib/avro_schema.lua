-- SPDX-License-Identifier: MIT
-- lib/avro_schema.lua: reads an Avro schema (the specification of Avro 1.12, "Schema Declaration"). A type is a node:
--   { kind = "null" | "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string" }
--   { kind = "array", items = node }, { kind = "map", values = node }, { kind = "union", branches = { node, ... } }
--   { kind = "fixed", name =, size = }
--   { kind = "enum", name =, symbols = { text, ... }, number_of = { text = number from 0 } }
--   { kind = "record", name =, fields = { { name =, node =, default = (the JSON value; nil: none) }, ... } }
-- Names are full names (with their namespace); what is named twice is one node, so a schema may be a circle.
-- Logical types, aliases, doc and whatever else stands there is left aside: a value is of the type below.
local json = require("tidemill.run.json")
local marks = require("tidemill.run.marks")

local avro_schema = {}

local PRIMITIVE = { null = true, boolean = true, int = true, long = true, float = true, double = true, bytes = true,
  string = true }
local MOST_FIXED = 2 ^ 26 -- bytes

local function fail(text, ...)
  error({ text:format(...) }, 0)
end

local function shown(value)
  if type(value) == "string" then return ("%q"):format(value:sub(1, 60)) end
  return value == nil and "nothing" or value == json.null and "null" or "a " .. type(value)
end

local function is_name(text)
  return type(text) == "string" and text:find("^[%a_][%w_]*$") ~= nil
end

local function is_full_name(text)
  if type(text) ~= "string" or text:find("^%.") or text:find("%.$") or text:find("..", 1, true) then return false end
  for part in text:gmatch("[^.]+") do
    if not is_name(part) then return false end
  end
  return text ~= ""
end

-- The full name of a declaration, and the namespace for what stands inside of it.
local function named(declaration, space)
  local name, own = declaration.name, declaration.namespace
  if not is_full_name(name) then fail("%s is no name of a type", shown(name)) end
  if own ~= nil and own ~= "" and not is_full_name(own) then fail("%s is no namespace", shown(own)) end
  if name:find(".", 1, true) then return name, name:match("^(.*)%.") end
  if own ~= nil then space = own end
  if space == nil or space == "" then return name, nil end
  return space .. "." .. name, space
end

local read -- any type

local function add_field(node, known, field, space, seen)
  if type(field) ~= "table" or not is_name(field.name) then
    fail("%s: a field is an object with a name", node.name)
  end
  if seen[field.name] then fail('%s has the field "%s" twice', node.name, field.name) end
  seen[field.name] = true
  if field.type == nil then fail('%s: the field "%s" has no type', node.name, field.name) end
  table.insert(node.fields, { name = field.name, node = read(field.type, known, space), default = field.default })
end

local declared = {}

function declared.record(node, declaration, known, space)
  if marks.of(declaration.fields) ~= marks.ARRAY then fail("%s: a record has an array of fields", node.name) end
  node.kind, node.fields = "record", {}
  local seen = {}
  for _, field in ipairs(declaration.fields) do add_field(node, known, field, space, seen) end
end
declared.error = declared.record

function declared.enum(node, declaration)
  if marks.of(declaration.symbols) ~= marks.ARRAY or #declaration.symbols == 0 then
    fail("%s: an enum has an array of symbols", node.name)
  end
  node.kind, node.symbols, node.number_of = "enum", declaration.symbols, {}
  for i, symbol in ipairs(node.symbols) do
    if not is_name(symbol) then fail("%s: %s is no symbol", node.name, shown(symbol)) end
    if node.number_of[symbol] then fail('%s has the symbol "%s" twice', node.name, symbol) end
    node.number_of[symbol] = i - 1
  end
end

function declared.fixed(node, declaration)
  local size = declaration.size
  if type(size) ~= "number" or size % 1 ~= 0 or size < 0 or size > MOST_FIXED then
    fail("%s: a fixed has a size from 0 to %.0f bytes", node.name, MOST_FIXED)
  end
  node.kind, node.size = "fixed", size
end

local function read_union(list, known, space)
  local node, seen = { kind = "union", branches = {} }, {}
  if #list == 0 then fail("a union has no types") end
  for i, one in ipairs(list) do
    local branch = read(one, known, space)
    if branch.kind == "union" then fail("a union stands right inside of a union") end
    local name = branch.name or branch.kind
    if seen[name] then fail('a union has "%s" twice', name) end
    seen[name], node.branches[i] = true, branch
  end
  return node
end

local function read_name(name, known, space)
  if PRIMITIVE[name] then return { kind = name } end
  local full = not name:find(".", 1, true) and space and space .. "." .. name
  local node = full and known[full] or known[name]
  if not node then fail("there is no type %s", shown(name)) end
  return node
end

local function read_object(object, known, space)
  local kind = object.type
  if declared[kind] then
    local name, inner = named(object, space)
    if known[name] or PRIMITIVE[name] then fail('the type "%s" is declared twice', name) end
    local node = { name = name }
    known[name] = node
    declared[kind](node, object, known, inner)
    return node
  end
  if kind == "array" then
    if object.items == nil then fail("an array has no items") end
    return { kind = "array", items = read(object.items, known, space) }
  elseif kind == "map" then
    if object.values == nil then fail("a map has no values") end
    return { kind = "map", values = read(object.values, known, space) }
  end
  if kind == nil then fail("an object has no type") end
  return read(kind, known, space) -- { "type": "long", "logicalType": ... }
end

function read(value, known, space)
  if type(value) == "string" then return read_name(value, known, space) end
  if type(value) ~= "table" then fail("%s is no type", shown(value)) end
  if marks.of(value) == marks.ARRAY then return read_union(value, known, space) end
  return read_object(value, known, space)
end

-- Refuses a record that holds itself with no union, array or map between: no value of it could end. `seen`: by node,
-- "inside" while it is looked at, "good" once it was.
local function check_end(node, seen)
  if node.kind ~= "record" or seen[node] == "good" then return end
  if seen[node] then fail("%s holds itself without an end", node.name) end
  seen[node] = "inside"
  for _, field in ipairs(node.fields) do check_end(field.node, seen) end
  seen[node] = "good"
end

local function read_whole(values)
  local known, seen, node = {}, {}, nil
  for _, value in ipairs(values) do node = read(value, known, nil) end
  for _, one in pairs(known) do check_end(one, seen) end
  return node
end

--- The node of a schema, or nil and what is wrong with the text. A primitive type may stand without quotes.
--- before: nil, or texts whose types the schema may name; each of them may name those of the texts before it.
function avro_schema.read(text, before)
  if PRIMITIVE[text] then return { kind = text } end
  local values = {}
  for i = 1, #(before or {}) + 1 do
    local ok, value = pcall(json.public.table, before and before[i] or text)
    if not ok then return nil, "the schema is not JSON: " .. tostring(value):gsub("^[^:]+:%d+: ", "") end
    values[i] = value
  end
  local good, node = pcall(read_whole, values)
  if good then return node end
  if type(node) ~= "table" then error(node, 0) end
  return nil, "the schema: " .. node[1]
end

return avro_schema
