-- SPDX-License-Identifier: MIT
-- lib/avro_write.lua: makes of the node of a schema (lib/avro_schema.lua) the function that writes its values, as
-- lib/avro_read.lua does for reading.
local codec_read = require("tidemill.lib.codec_read")
local json = require("tidemill.run.json")
local parts = require("tidemill.lib.avro_put")
local varint = require("tidemill.lib.varint")

local avro_write = {}

local null = json.null
local put_bytes = varint.put_bytes

-- ---- writing the functions ----

local call_of

local write = {}

local function null_branch(node)
  for i, branch in ipairs(node.kind == "union" and node.branches or {}) do
    if branch.kind == "null" then return i - 1 end
  end
  return node.kind == "null" and -1 or nil
end

function write.record(writer, node)
  table.insert(writer.nodes, node)
  local own = #writer.nodes
  local lines = { 'check(value, depth, "a table")', "local seen, v = 0, nil" }
  for i, field in ipairs(node.fields) do
    lines[#lines + 1] = ("where, v = %q, value[%q]"):format(node.name .. "." .. field.name, field.name)
    lines[#lines + 1] = "if v ~= nil then"
    lines[#lines + 1] = "  seen = seen + 1"
    lines[#lines + 1] = "  " .. call_of(writer, field.node, "v")
    lines[#lines + 1] = "else"
    if field.default ~= nil then
      lines[#lines + 1] = ("  put_default(nodes[%d].fields[%d])"):format(own, i)
    elseif null_branch(field.node) then
      local number = null_branch(field.node)
      lines[#lines + 1] = number >= 0 and ("  put_zigzag(%d)"):format(number) or ""
    else
      lines[#lines + 1] = "  parts.missing()"
    end
    lines[#lines + 1] = "end"
  end
  lines[#lines + 1] = "for _ in pairs(value) do seen = seen - 1 end"
  lines[#lines + 1] = ("if seen ~= 0 then where = %q; parts.no_field(value, nodes[%d]) end"):format(node.name, own)
  return table.concat(lines, "\n")
end

function write.array(writer, node)
  return ([[
check(value, depth, "an array")
local count = parts.count(value)
if count > 0 then
  put_zigzag(count)
  for i = 1, count do
    local v = value[i]
    %s
  end
end
put_zigzag(0)]]):format(call_of(writer, node.items, "v"))
end

function write.map(writer, node)
  return ([[
check(value, depth, "a map")
local count = 0
for key in pairs(value) do
  if type(key) ~= "string" then parts.wrong("a map by strings", value) end
  count = count + 1
end
if count > 0 then
  put_zigzag(count)
  for key, v in pairs(value) do
    string(key)
    %s
  end
end
put_zigzag(0)]]):format(call_of(writer, node.values, "v"))
end

-- A union of null and one more needs no choice.
function write.union(writer, node)
  local lines, others = {}, {}
  for i, branch in ipairs(node.branches) do
    if branch.kind == "null" then
      lines[#lines + 1] = ("if value == nil or value == null then return put_zigzag(%d) end"):format(i - 1)
    else
      others[#others + 1] = { node = branch, number = i - 1, name = branch.name or branch.kind }
    end
  end
  if #others == 1 and not writer.tagged then
    lines[#lines + 1] = ("put_zigzag(%d)"):format(others[1].number)
    lines[#lines + 1] = call_of(writer, others[1].node, "value")
    return table.concat(lines, "\n")
  end
  table.insert(writer.unions, others)
  local own = #writer.unions
  for i, branch in ipairs(others) do
    table.insert(writer.more, ("unions[%d][%d].write = function(v, depth) %s end"):format(own, i,
      call_of(writer, branch.node, "v")))
  end
  lines[#lines + 1] = ("parts.%s(unions[%d], value, depth)"):format(writer.tagged and "tagged" or "union", own)
  return table.concat(lines, "\n")
end

local function number_of_node(writer, node)
  local number = writer.numbers[node]
  if number then return number end
  number = writer.count + 1
  writer.count, writer.numbers[node] = number, number
  writer.texts[number] = ("write[%d] = function(value, depth)\n%s\nend"):format(number, write[node.kind](writer, node))
  return number
end

function call_of(writer, node, name)
  if node.kind == "null" then return ('if %s ~= null then parts.wrong("null", %s) end'):format(name, name) end
  if node.kind == "fixed" then return ("fixed(%s, %d)"):format(name, node.size) end
  if node.kind == "enum" then
    table.insert(writer.nodes, node)
    return ("enum(%s, nodes[%d].number_of)"):format(name, #writer.nodes)
  end
  if write[node.kind] then return ("write[%d](%s, depth + 1)"):format(number_of_node(writer, node), name) end
  return ("%s(%s)"):format(node.kind, name)
end

local HEAD = [[
local parts, nodes, unions, put_default = ...
local int, long, float, double, boolean, bytes, string, fixed, enum = parts.int, parts.long, parts.float,
  parts.double, parts.boolean, parts.bytes, parts.string, parts.fixed, parts.enum
local check, put_zigzag, null = parts.table, parts.put_zigzag, parts.null
local pairs, type, where, write = pairs, type, nil, {}
]]
local TAIL = [[
return function(value, depth)
  where = nil
  %s
end, function() return where end]]

-- A default as it stands in the schema, as a value: bytes are written there as characters up to U+00FF, a union's
-- default is one of its first branch.
local function value_of(node, default, tagged)
  local kind = node.kind
  if kind == "union" then
    local first = node.branches[1]
    local value = value_of(first, default, tagged)
    return tagged and value ~= null and { [first.name or first.kind] = value } or value
  elseif (kind == "bytes" or kind == "fixed") and type(default) == "string" then
    if default:find("[\196-\244]") then parts.wrong("bytes", default) end
    return (default:gsub("([\194\195])([\128-\191])", function(a, b)
      return string.char((a:byte() - 194) * 64 + b:byte())
    end))
  elseif kind == "record" and type(default) == "table" then
    local copy = {}
    for name, value in pairs(default) do copy[name] = value end
    for _, field in ipairs(node.fields) do
      if copy[field.name] ~= nil then copy[field.name] = value_of(field.node, copy[field.name], tagged) end
    end
    return copy
  elseif (kind == "array" or kind == "map") and type(default) == "table" then
    local copy = setmetatable({}, getmetatable(default))
    for key, value in pairs(default) do copy[key] = value_of(node.items or node.values, value, tagged) end
    return copy
  end
  return default
end

-- Writes the default of a field, whose bytes are kept. One that cannot be written is told of when it is needed, as
-- schemas with such defaults are in use.
local function put_default(writer, field)
  if field.bytes then return put_bytes(field.bytes) end
  local mark = varint.mark()
  local ok, problem = pcall(function()
    avro_write.make(field.node, writer.tagged)(value_of(field.node, field.default, writer.tagged), 0)
  end)
  if not ok and type(problem) ~= "table" then error(problem, 0) end
  if not ok then error({ "has no value, and its default cannot be written: it " .. problem[1] }, 0) end
  field.bytes = varint.text(mark)
end

--- Two functions: one writes a value of the node behind what is in the memory of lib/varint.lua, depth 0, and raises
--- what is wrong as a table { text }; the other says at which field the first one is. Otherwise as avro_read.make.
function avro_write.make(node, tagged)
  local writer = { tagged = tagged, numbers = {}, texts = {}, nodes = {}, unions = {}, more = {}, count = 0 }
  local call = call_of(writer, node, "value")
  local text = HEAD .. table.concat(writer.texts, "\n") .. "\n" .. table.concat(writer.more, "\n") .. "\n"
    .. TAIL:format(call)
  return codec_read.compile(text, parts, writer.nodes, writer.unions, function(field)
    put_default(writer, field)
  end)
end

return avro_write
