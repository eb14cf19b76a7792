-- SPDX-License-Identifier: MIT
-- lib/avro_read.lua: makes of the node of a schema (lib/avro_schema.lua) the function that reads its values
-- (specification of Avro 1.12, "Binary Encoding"). The function is written as Lua, a function for each type that is no
-- primitive one, so that LuaJIT compiles straight code without looking at the schema.
--
-- Why not libavro: version 1.11 of it ends the process at 100 KB of a list that is nested without an end, and takes
-- gigabytes for an array of 9 bytes that says it has many nulls. Specs compare with it.
local ffi = require("ffi")
local codec_read = require("tidemill.lib.codec_read")
local json = require("tidemill.run.json")
local marks = require("tidemill.run.marks")
local varint = require("tidemill.lib.varint")

local avro_read = {}

local MOST_EMPTY = 65536 -- elements of arrays, and records, without bytes (nulls), in a value

local fail, ends_early, zigzag = varint.fail, varint.ends_early, varint.read_zigzag

-- What the written functions call.
local parts = { null = json.null, array_mark = marks.array, long = zigzag, double = varint.read_double,
  float = varint.read_float, deep = codec_read.deep }
local length
length, parts.bytes, parts.string = codec_read.sized(zigzag)

function parts.int(p, at, stop)
  local value, behind = zigzag(p, at, stop)
  if type(value) ~= "number" or value > 0x7FFFFFFF or value < -0x80000000 then
    fail(at, "an int of more than 32 bits")
  end
  return value, behind
end

function parts.boolean(p, at, stop)
  if at >= stop then ends_early(at) end
  local byte = p[at]
  if byte > 1 then fail(at, "a boolean is 0 or 1") end
  return byte == 1, at + 1
end

function parts.fixed(p, at, stop, size)
  if size > stop - at then ends_early(stop) end
  return ffi.string(p + at, size), at + size
end

function parts.no_branch(at, number)
  fail(at, ("the union has no branch %s"):format(tostring(number)))
end

function parts.enum(p, at, stop, symbols)
  local number, behind = zigzag(p, at, stop)
  local symbol = type(number) == "number" and symbols[number + 1]
  if not symbol then fail(at, ("the enum has no symbol %s"):format(tostring(number))) end
  return symbol, behind
end

local empty = 0 -- of the value that is being read

-- A value begins.
function parts.begin()
  empty = 0
end

-- Counts what takes no bytes, so that a few bytes are no value beyond all bounds.
function parts.empty(at, count)
  empty = empty + count
  if empty > MOST_EMPTY then
    fail(at, ("more than %d elements or records without bytes"):format(MOST_EMPTY))
  end
end

-- The number of elements of the next block, 0 at the end. Each takes `least` bytes or more, so a number that cannot be
-- true is refused before anything is allocated.
function parts.block(p, at, stop, least)
  local count, behind = zigzag(p, at, stop)
  if type(count) ~= "number" then fail(at, "a block of more than 2^53 elements") end
  if count < 0 then
    local _
    count = -count
    _, behind = length(p, behind, stop) -- its bytes, for those who skip it
  end
  if count * least > stop - behind then ends_early(stop) end
  if least == 0 then parts.empty(at, count) end
  return count, behind
end

function parts.key(p, at, stop, map)
  local key, behind = parts.string(p, at, stop)
  if rawget(map, key) ~= nil then fail(at, ("a map has the key %q twice"):format(key:sub(1, 60))) end
  return key, behind
end

-- ---- writing the functions ----

local LEAST = { null = 0, boolean = 1, int = 1, long = 1, float = 4, double = 8, bytes = 1, string = 1, enum = 1,
  union = 1, array = 1, map = 1 }

-- The least number of bytes of a value. A record that is asked for itself takes one at least, as it has a union, array
-- or map between.
local function least_of(node, inside)
  if node.kind == "fixed" then return node.size end
  if node.kind ~= "record" then return LEAST[node.kind] end
  if node.least then return node.least end
  local sum = 0
  for _, field in ipairs(node.fields) do sum = sum + least_of(field.node, inside) end
  node.least = sum
  return sum
end

local CALL = "%s(p, at, stop)"
local call_of -- (writer, node): the call that reads a node

local write = {}

function write.record(writer, node)
  local lines = { least_of(node) == 0 and "parts.empty(at, 1)" or "", "local t = {" }
  for _, field in ipairs(node.fields) do lines[#lines + 1] = ("[%q] = false,"):format(field.name) end
  lines[#lines + 1] = "}"
  for _, field in ipairs(node.fields) do
    lines[#lines + 1] = ("where = %q"):format(node.name .. "." .. field.name)
    lines[#lines + 1] = ("t[%q], at = %s"):format(field.name, call_of(writer, field.node))
  end
  lines[#lines + 1] = "return t, at"
  return table.concat(lines, "\n")
end

function write.array(writer, node)
  return ([[
local t, count, more = setmetatable({}, parts.array_mark), 0, 0
while true do
  more, at = block(p, at, stop, %d)
  if more == 0 then return t, at end
  for i = count + 1, count + more do t[i], at = %s end
  count = count + more
end]]):format(least_of(node.items), call_of(writer, node.items))
end

function write.map(writer, node)
  return ([[
local t, more, key = {}, 0, nil
while true do
  more, at = block(p, at, stop, %d)
  if more == 0 then return t, at end
  for _ = 1, more do
    key, at = parts.key(p, at, stop, t)
    t[key], at = %s
  end
end]]):format(1 + least_of(node.values), call_of(writer, node.values))
end

function write.union(writer, node)
  local lines = { "local from, number, value = at, nil, nil", "number, at = zigzag(p, at, stop)" }
  for i, branch in ipairs(node.branches) do
    lines[#lines + 1] = ("%s number == %d then"):format(i == 1 and "if" or "elseif", i - 1)
    lines[#lines + 1] = "value, at = " .. call_of(writer, branch)
    if writer.tagged and branch.kind ~= "null" then
      lines[#lines + 1] = ("value = { [%q] = value }"):format(branch.name or branch.kind)
    end
  end
  lines[#lines + 1] = "else parts.no_branch(from, number) end"
  lines[#lines + 1] = "return value, at"
  return table.concat(lines, "\n")
end

-- The number of the function of a node, which is written when it is asked for first.
local function number_of(writer, node)
  local number = writer.numbers[node]
  if number then return number end
  number = writer.count + 1
  writer.count, writer.numbers[node] = number, number
  writer.texts[number] = ("read[%d] = function(p, at, stop, depth)\nif depth > %d then parts.deep(at) end\n%s\nend")
    :format(number, codec_read.DEEPEST, write[node.kind](writer, node))
  return number
end

function call_of(writer, node)
  if node.kind == "null" then return "parts.null, at" end
  if node.kind == "fixed" then return ("fixed(p, at, stop, %d)"):format(node.size) end
  if node.kind == "enum" then
    table.insert(writer.symbols, node.symbols)
    return ("enum(p, at, stop, symbols[%d])"):format(#writer.symbols)
  end
  if write[node.kind] then return ("read[%d](p, at, stop, depth + 1)"):format(number_of(writer, node)) end
  return CALL:format(node.kind)
end

local HEAD = [[
local parts, zigzag, symbols = ...
local int, long, float, double, boolean, bytes, string, fixed, enum, block = parts.int, parts.long, parts.float,
  parts.double, parts.boolean, parts.bytes, parts.string, parts.fixed, parts.enum, parts.block
local setmetatable, where, read = setmetatable, nil, {}
]]
local TAIL = [[
return function(p, at, stop, depth)
  where = nil
  parts.begin()
  return %s
end, function() return where end]]

--- Two functions: one reads a value of the node from `p`, at `at` up to `stop`, depth 0, and returns it and where the
--- next one begins; the other says at which field the first one is. `tagged`: a union's value is { [name] = value }.
--- Raises a table { text } for a node that cannot be used.
function avro_read.make(node, tagged)
  local writer = { tagged = tagged, numbers = {}, texts = {}, symbols = {}, count = 0 }
  local call = call_of(writer, node)
  local text = HEAD .. table.concat(writer.texts, "\n") .. "\n" .. TAIL:format(call)
  return codec_read.compile(text, parts, zigzag, writer.symbols)
end

return avro_read
