-- SPDX-License-Identifier: MIT
-- lib/protobuf_read.lua: makes of a message type (lib/protobuf_types.lua) the function that reads its values
-- (protobuf.dev, "Encoding"). As in lib/avro_read.lua, the function is written as Lua, one for each message type.
--
-- protobuf-c would end the process at some ten thousand nested messages, and libprotobuf, in C++, would have to be
-- compiled and carried along; specs compare with protoc.
local bit = require("bit")
local ffi = require("ffi")
local codec_read = require("tidemill.lib.codec_read")
local integers = require("tidemill.run.integer")
local marks = require("tidemill.run.marks")
local number = require("tidemill.run.number")
local varint = require("tidemill.lib.varint")

local protobuf_read = {}

local int32, int64 = ffi.typeof("int32_t"), ffi.typeof("int64_t")
local words, longs = ffi.typeof("const uint32_t *"), ffi.typeof("const uint64_t *")
local signed = ffi.typeof("const int32_t *")
local fail, ends_early, read = varint.fail, varint.ends_early, varint.read
local VARINT, FIXED64, BYTES, GROUP, FIXED32 = 0, 1, 2, 3, 5

--- The wire type of each kind.
protobuf_read.WIRE = { double = FIXED64, float = FIXED32, int64 = VARINT, uint64 = VARINT, int32 = VARINT,
  fixed64 = FIXED64, fixed32 = FIXED32, bool = VARINT, string = BYTES, message = BYTES, bytes = BYTES, uint32 = VARINT,
  enum = VARINT, sfixed32 = FIXED32, sfixed64 = FIXED64, sint32 = VARINT, sint64 = VARINT }

-- What the written functions call.
local parts = { array_mark = marks.array, sint64 = varint.read_zigzag, double = varint.read_double,
  float = varint.read_float, deep = codec_read.deep }
parts.length, parts.bytes, parts.string = codec_read.sized(read)
local length = parts.length

local function given_natural(value)
  return value <= 0x20000000000000ULL and tonumber(value) or integers.given(value)
end

function parts.int32(p, at, stop)
  local value, behind = read(p, at, stop)
  if type(value) == "number" then return bit.tobit(value), behind end
  return tonumber(ffi.cast(int32, value)), behind
end

function parts.uint32(p, at, stop)
  local value, behind = parts.int32(p, at, stop)
  return value % 2 ^ 32, behind
end

function parts.sint32(p, at, stop)
  local value, behind = parts.uint32(p, at, stop)
  if value % 2 == 0 then return value / 2, behind end
  return -(value + 1) / 2, behind
end

function parts.int64(p, at, stop)
  local value, behind = read(p, at, stop)
  if type(value) == "number" then return value, behind end
  return varint.given(ffi.cast(int64, value)), behind
end

function parts.uint64(p, at, stop)
  local value, behind = read(p, at, stop)
  if type(value) == "number" then return value, behind end
  return given_natural(value), behind
end

function parts.bool(p, at, stop)
  local value, behind = read(p, at, stop)
  return value ~= 0, behind
end

function parts.fixed32(p, at, stop)
  if stop - at < 4 then ends_early(stop) end
  return ffi.cast(words, p + at)[0], at + 4
end

function parts.sfixed32(p, at, stop)
  if stop - at < 4 then ends_early(stop) end
  return ffi.cast(signed, p + at)[0], at + 4
end

function parts.fixed64(p, at, stop)
  if stop - at < 8 then ends_early(stop) end
  return given_natural(ffi.cast(longs, p + at)[0]), at + 8
end

function parts.sfixed64(p, at, stop)
  if stop - at < 8 then ends_early(stop) end
  return varint.given(ffi.cast(int64, ffi.cast(longs, p + at)[0])), at + 8
end

function parts.enum(p, at, stop, names)
  local value, behind = parts.int32(p, at, stop)
  return names[value] or value, behind
end

function parts.missing(at, name)
  fail(at, ("the required field %s is not there"):format(name))
end

-- A tag: the number of a field and its wire type.
local function tag_at(p, at, stop)
  local tag, behind = read(p, at, stop)
  if type(tag) ~= "number" or tag < 8 or tag >= 2 ^ 32 then fail(at, "no tag of a field") end
  return tag, behind
end
parts.tag = tag_at

--- Skips a field that is not known, and its groups with all that is in them.
local function skip(p, at, stop, tag, depth)
  local kind, _ = tag % 8, nil
  if kind == VARINT then
    _, at = read(p, at, stop)
  elseif kind == BYTES then
    local size
    size, at = length(p, at, stop)
    at = at + size
  elseif kind == FIXED32 or kind == FIXED64 then
    at = at + (kind == FIXED32 and 4 or 8)
    if at > stop then ends_early(stop) end
  elseif kind == GROUP then
    if depth > codec_read.DEEPEST then parts.deep(at) end
    while true do
      local inner
      inner, at = tag_at(p, at, stop)
      if inner == tag + 1 then break end
      at = skip(p, at, stop, inner, depth + 1)
    end
  else
    fail(at, ("a field of the wire type %d"):format(kind))
  end
  return at
end
parts.skip = skip

function parts.key(key)
  return type(key) == "string" and key or number.text(key) or tostring(key)
end

-- ---- writing the functions ----

local number_of

-- The call that reads one value of a field.
local function call_of(writer, node, field)
  if field.kind == "enum" then
    table.insert(writer.names, field.node.names)
    return ("parts.enum(p, at, stop, names[%d])"):format(#writer.names)
  end
  if field.kind == "string" and not node.proto3 then return "parts.bytes(p, at, stop)" end -- proto2 does not check it
  return ("parts.%s(p, at, stop)"):format(field.kind)
end

local function add_message(lines, writer, field, place)
  lines[#lines + 1] = "local size; size, at = parts.length(p, at, stop)"
  lines[#lines + 1] = ("%s = read[%d](p, at, at + size, depth + 1, %s)"):format(place, number_of(writer, field.node),
    field.repeated and "nil" or place)
  lines[#lines + 1] = "at = at + size"
end

local function add_map(lines, writer, field)
  lines[#lines + 1] = "local size; size, at = parts.length(p, at, stop)"
  lines[#lines + 1] = ("local entry = read[%d](p, at, at + size, depth + 1)"):format(number_of(writer, field.node))
  lines[#lines + 1] = "at = at + size"
  local value = field.node.fields[2]
  if value and value.kind == "message" then
    lines[#lines + 1] = ("if entry.value == nil then entry.value = read[%d](p, at, at, depth + 1) end")
      :format(number_of(writer, value.node))
  end
  lines[#lines + 1] = ("t[%q][parts.key(entry.key)] = entry.value"):format(field.name)
end

local function add_field(lines, writer, node, field)
  local wire = protobuf_read.WIRE[field.kind]
  lines[#lines + 1] = ("elseif tag == %d then where = %q"):format(field.number * 8 + wire, node.name .. "."
    .. field.name)
  local place = ("t[%q]"):format(field.name)
  if field.others then
    table.insert(writer.others, field.others)
    lines[#lines + 1] = ("for i = 1, %d do t[others[%d][i]] = nil end"):format(#field.others, #writer.others)
  end
  if field.map then
    add_map(lines, writer, field)
  elseif field.repeated then
    lines[#lines + 1] = ("local list = %s; local count = #list + 1"):format(place)
    if field.kind == "message" then add_message(lines, writer, field, "list[count]")
    else lines[#lines + 1] = "list[count], at = " .. call_of(writer, node, field) end
    if wire ~= BYTES then -- the packed form
      lines[#lines + 1] = ("elseif tag == %d then where = %q"):format(field.number * 8 + BYTES, node.name .. "."
        .. field.name)
      lines[#lines + 1] = ("local list, whole = %s, stop; local count, size = #list, 0"):format(place)
      lines[#lines + 1] = "size, at = parts.length(p, at, stop); stop = at + size"
      lines[#lines + 1] = "while at < stop do count = count + 1; list[count], at = " .. call_of(writer, node, field)
        .. " end; stop = whole"
    end
  elseif field.kind == "message" then
    add_message(lines, writer, field, place)
  else
    lines[#lines + 1] = place .. ", at = " .. call_of(writer, node, field)
  end
end

local function initial(field)
  if field.map then return ("[%q] = {},"):format(field.name) end
  if field.repeated then return ("[%q] = setmetatable({}, parts.array_mark),"):format(field.name) end
  if field.initial ~= nil then
    return ("[%q] = %s,"):format(field.name, type(field.initial) == "string" and ("%q"):format(field.initial)
      or tostring(field.initial))
  end
  return ""
end

local function write(writer, node)
  local lines = { ("if depth > %d then parts.deep(at) end"):format(codec_read.DEEPEST), "t = t or {" }
  -- The fields of an entry of a map are always there.
  for _, field in ipairs(node.fields) do lines[#lines + 1] = initial(field) end
  lines[#lines + 1] = "}"
  lines[#lines + 1] = "while at < stop do local tag; tag, at = parts.tag(p, at, stop)"
  lines[#lines + 1] = "if tag == 0 then break"
  for _, field in ipairs(node.fields) do add_field(lines, writer, node, field) end
  lines[#lines + 1] = "else at = parts.skip(p, at, stop, tag, depth) end end"
  for _, field in ipairs(node.fields) do
    if field.required then
      lines[#lines + 1] = ("if t[%q] == nil then parts.missing(at, %q) end"):format(field.name, node.name .. "."
        .. field.name)
    end
  end
  lines[#lines + 1] = "return t"
  return table.concat(lines, "\n")
end

function number_of(writer, node)
  local own = writer.numbers[node]
  if own then return own end
  if node.problem then error({ node.problem }, 0) end
  own = writer.count + 1
  writer.count, writer.numbers[node] = own, own
  writer.texts[own] = ("read[%d] = function(p, at, stop, depth, t)\n%s\nend"):format(own, write(writer, node))
  return own
end

local HEAD = "local parts, names, others = ...\nlocal setmetatable, where, read = setmetatable, nil, {}\n"
local TAIL = "\nreturn read[1], function() return where end, function() where = nil end"
local bytes_type = ffi.typeof("const uint8_t *")

--- A function that reads the bytes of a message: its table; nil and the reason. Raises a table { text } for a message
--- that cannot be used.
function protobuf_read.make(node)
  local writer = { numbers = {}, texts = {}, names = {}, others = {}, count = 0 }
  number_of(writer, node)
  local text = HEAD .. table.concat(writer.texts, "\n") .. TAIL
  local run, where, reset = codec_read.compile(text, parts, writer.names, writer.others)
  return function(bytes)
    protobuf_read.held = bytes -- compiled code would let it go while it is read
    reset()
    local ok, value = pcall(run, ffi.cast(bytes_type, bytes), 0, #bytes, 0)
    if ok then return value end
    if type(value) ~= "table" then error(value, 0) end
    local field = where()
    return nil, ("%s%s, at byte %d"):format(field and field .. ": " or "", value[1], value.at)
  end
end

return protobuf_read
