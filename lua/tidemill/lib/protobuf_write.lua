-- SPDX-License-Identifier: MIT
-- lib/protobuf_write.lua: makes of a message type (lib/protobuf_types.lua) the function that writes its values into the
-- memory of lib/varint.lua, in the order of the fields' numbers. What is wrong with a value is raised as a table
-- { text }.
local ffi = require("ffi")
local codec_read = require("tidemill.lib.codec_read")
local checks = require("tidemill.lib.codec_checks")
local json = require("tidemill.run.json")
local number_text = require("tidemill.run.number").text
local protobuf_read = require("tidemill.lib.protobuf_read")
local varint = require("tidemill.lib.varint")
local C = require("tidemill.run.ffi").C

local protobuf_write = {}

local fail, wrong = checks.fail, checks.wrong
local BYTES = 2
local WIRE = protobuf_read.WIRE
local null, put, put_bytes = json.null, varint.put, varint.put_bytes
local int64, uint64 = ffi.typeof("int64_t"), ffi.typeof("uint64_t")
local LEAST64, MOST64, MOST_NATURAL = -0x8000000000000000LL, 0x7FFFFFFFFFFFFFFFLL, 0xFFFFFFFFFFFFFFFFULL

local parts = { put_bytes = put_bytes, mark = varint.mark, null = null, table = checks.table, count = checks.count,
  no_field = checks.no_field }

local function whole(value, least, most, what)
  local found = varint.integer(value, least, most)
  if not found then wrong(what, value) end
  return found
end

-- The bits of an integer: negative ones have 64.
local function put_signed(value)
  if value < 0 then value = ffi.cast(uint64, ffi.cast(int64, value)) end
  put(value)
end

function parts.int32(value) put_signed(whole(value, -2 ^ 31, 2 ^ 31 - 1, "an int32")) end
function parts.uint32(value) put(whole(value, 0, 2 ^ 32 - 1, "a uint32")) end
function parts.int64(value) put_signed(whole(value, LEAST64, MOST64, "an int64")) end
function parts.uint64(value) put(whole(value, 0, MOST_NATURAL, "a uint64")) end
function parts.sint32(value) varint.put_zigzag(tonumber(whole(value, -2 ^ 31, 2 ^ 31 - 1, "a sint32"))) end

function parts.sint64(value)
  value = whole(value, LEAST64, MOST64, "a sint64")
  varint.put_zigzag(type(value) == "number" and value or ffi.cast(int64, value))
end

function parts.fixed32(value) varint.put_word32(tonumber(whole(value, 0, 2 ^ 32 - 1, "a fixed32"))) end

function parts.sfixed32(value)
  varint.put_word32(tonumber(whole(value, -2 ^ 31, 2 ^ 31 - 1, "a sfixed32")) % 2 ^ 32)
end

function parts.fixed64(value) varint.put_word64(ffi.cast(uint64, whole(value, 0, MOST_NATURAL, "a fixed64"))) end

function parts.sfixed64(value)
  varint.put_word64(ffi.cast(uint64, ffi.cast(int64, whole(value, LEAST64, MOST64, "a sfixed64"))))
end

function parts.bool(value)
  if type(value) ~= "boolean" then wrong("a boolean", value) end
  varint.put_byte(value and 1 or 0)
end

function parts.double(value)
  varint.put_double(checks.double(value))
end

function parts.float(value)
  varint.put_float(checks.float(value))
end

function parts.bytes(value)
  if type(value) ~= "string" then wrong("bytes (a string)", value) end
  put(#value)
  put_bytes(value)
end

function parts.string(value)
  if type(value) ~= "string" then wrong("a string", value) end
  if not C.tide_utf8_is(value, #value) then fail("takes a string in UTF-8") end
  put(#value)
  put_bytes(value)
end

function parts.enum(value, numbers)
  local number = type(value) == "string" and numbers[value] or varint.integer(value, -2 ^ 31, 2 ^ 31 - 1)
  if not number then wrong("a name of its enum, or a number", value) end
  put_signed(number)
end

-- Writes again, behind its length, what was written since the mark.
function parts.enclose(mark)
  local text = varint.text(mark)
  varint.cut(mark)
  put(#text)
  put_bytes(text)
end

-- Notes the text of a key in `seen`: one that is there twice would hide a value.
local function once(key, seen)
  local text = type(key) == "string" and key or number_text(key) or tostring(key)
  if seen[text] then fail("has the key %s twice", text:sub(1, 60)) end
  seen[text] = true
end

-- A key of a map, which is a text for scripts, by its kind.
local function key_of(key, kind)
  if kind == "string" then return key end
  if kind == "bool" then
    if key == "true" or key == true then return true end
    if key == "false" or key == false then return false end
  elseif type(key) == "string" and key:find("^%-?%d+$") and #key <= 20 then
    local value, most = 0ULL, key:find("^%-") and "9223372036854775808" or "18446744073709551615"
    local digits = key:match "^%-?0*(%d*)$"
    if #digits < #most or #digits == #most and digits <= most then
      for i = 1, #digits do value = value * 10 + (digits:byte(i) - 48) end
      if key:find("^%-") then return -ffi.cast(int64, value) end
      return value
    end
  elseif type(key) ~= "string" then
    return key
  end
  wrong("keys of the kind " .. kind, key)
end

function parts.key(key, kind, seen)
  key = key_of(key, kind)
  if kind ~= "string" then once(key, seen) end
  return key
end

-- Raises when another member of its oneof is there as well.
function parts.alone(value, field)
  for _, other in ipairs(field.others) do
    local one = value[other]
    if one ~= nil and one ~= null then fail("and %s are both there, of the oneof %s", other, field.oneof) end
  end
end

function parts.missing()
  fail("is required, and not there")
end

-- ---- writing the functions ----

local number_of

local function tag_of(field, wire)
  varint.begin()
  put(field.number * 8 + (wire or WIRE[field.kind]))
  return ('put_bytes "%s"'):format((varint.text():gsub(".", function(byte)
    return ("\\%03d"):format(byte:byte())
  end)))
end

local function call_of(writer, field, name)
  if field.kind == "message" then
    return ("local mark = parts.mark(); write[%d](%s, depth + 1); parts.enclose(mark)"):format(
      number_of(writer, field.node), name)
  elseif field.kind == "enum" then
    table.insert(writer.nodes, field.node)
    return ("parts.enum(%s, nodes[%d].numbers)"):format(name, #writer.nodes)
  end
  return ("parts.%s(%s)"):format(field.kind, name)
end

local function add_map(lines, writer, field)
  local key, value = field.node.fields[1], field.node.fields[2]
  lines[#lines + 1] = 'check(v, depth, "a map")'
  lines[#lines + 1] = ("local keys = %s"):format(key.kind == "string" and "nil" or "{}")
  lines[#lines + 1] = "for key, item in pairs(v) do"
  lines[#lines + 1] = ("%s; local whole = parts.mark()"):format(tag_of(field, BYTES))
  lines[#lines + 1] = ("key = parts.key(key, %q, keys)"):format(key.kind)
  lines[#lines + 1] = ("%s; %s"):format(tag_of(key), call_of(writer, key, "key"))
  lines[#lines + 1] = ("%s; %s"):format(tag_of(value), call_of(writer, value, "item"))
  lines[#lines + 1] = "parts.enclose(whole) end"
end

local function add_repeated(lines, writer, field)
  lines[#lines + 1] = 'check(v, depth, "an array")'
  lines[#lines + 1] = "local count = parts.count(v)"
  if field.packed then
    lines[#lines + 1] = ("if count > 0 then %s; local whole = parts.mark()"):format(tag_of(field, BYTES))
    lines[#lines + 1] = ("for i = 1, count do local item = v[i]; %s end"):format(call_of(writer, field, "item"))
    lines[#lines + 1] = "parts.enclose(whole) end"
  else
    lines[#lines + 1] = ("for i = 1, count do local item = v[i]; %s; %s end"):format(tag_of(field),
      call_of(writer, field, "item"))
  end
end

local ZERO = { bool = "v ~= false", string = 'v ~= ""', bytes = 'v ~= ""' }

local function add_field(lines, writer, node, field)
  lines[#lines + 1] = ("v = value[%q]; where = %q"):format(field.name, node.name .. "." .. field.name)
  lines[#lines + 1] = "if v ~= nil then seen = seen + 1 end"
  lines[#lines + 1] = "if v ~= nil and v ~= null then"
  if field.others then
    table.insert(writer.nodes, field)
    lines[#lines + 1] = ("parts.alone(value, nodes[%d])"):format(#writer.nodes)
  end
  if field.map then
    add_map(lines, writer, field)
  elseif field.repeated then
    add_repeated(lines, writer, field)
  elseif field.presence or field.required then
    lines[#lines + 1] = ("%s; %s"):format(tag_of(field), call_of(writer, field, "v"))
  else -- what is as it is when absent is not written; its kind is looked at all the same
    local zero = ZERO[field.kind] or field.kind == "enum" and ("v ~= 0 and v ~= %q"):format(tostring(field.initial))
      or "v ~= 0 or 1 / v < 0"
    lines[#lines + 1] = ("if %s then %s; %s end"):format(zero, tag_of(field), call_of(writer, field, "v"))
  end
  if field.required then lines[#lines + 1] = "else parts.missing()" end
  lines[#lines + 1] = "end"
end

local function write(writer, node)
  table.insert(writer.nodes, node)
  local own = #writer.nodes
  local lines = { 'check(value, depth, "a table")', "local seen, v = 0, nil" }
  for _, field in ipairs(node.fields) do
    lines[#lines + 1] = "do"
    add_field(lines, writer, node, field)
    lines[#lines + 1] = "end"
  end
  lines[#lines + 1] = "for _ in pairs(value) do seen = seen - 1 end"
  lines[#lines + 1] = ("if seen ~= 0 then where = %q; parts.no_field(value, nodes[%d]) end"):format(node.name, own)
  return table.concat(lines, "\n")
end

function number_of(writer, node)
  local own = writer.numbers[node]
  if own then return own end
  own = writer.count + 1
  writer.count, writer.numbers[node] = own, own
  writer.texts[own] = ("write[%d] = function(value, depth)\n%s\nend"):format(own, write(writer, node))
  return own
end

local HEAD = [[
local parts, nodes = ...
local check, put_bytes, null, pairs, where, write = parts.table, parts.put_bytes, parts.null, pairs, nil, {}
]]
local TAIL = "\nreturn write[1], function() return where end"

--- A function that gives the bytes of a table; nil and the reason, with the field.
function protobuf_write.make(node)
  local writer = { numbers = {}, texts = {}, nodes = {}, count = 0 }
  number_of(writer, node)
  local text = HEAD .. table.concat(writer.texts, "\n") .. TAIL
  local run, where = codec_read.compile(text, parts, writer.nodes)
  return function(value)
    if json.is_view(value) then value = json.public.table(value) end
    varint.begin()
    local ok, problem = pcall(run, value, 0)
    if ok then return varint.text() end
    if type(problem) ~= "table" then error(problem, 0) end
    return nil, ("%s %s"):format(where() or "the value", problem[1])
  end
end

return protobuf_write
