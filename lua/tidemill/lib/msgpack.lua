-- SPDX-License-Identifier: MIT
-- lib/msgpack.lua: tide.msgpack.encode(value) and decode(text). encode writes what decode gave as it was before.
-- lua-mpack is not used, as it cannot do that: it has no types to tell {} from [], bin from str, or integers beyond
-- 2^53 from others.
--   nil, boolean, str     tide.null (msgpack.null), boolean, string
--   integer               a number; beyond 2^53 int64 or uint64
--   float                 a number; one without fraction up to 2^53 is written as an integer
--   array, map            a table: tide.array { }, { }; a map with the keys 1 to n is msgpack.map { }
--   bin, ext              msgpack.bin(bytes), msgpack.ext(type, bytes): `bytes` and `type` are fields
-- For a text that is no msgpack, is cut, nests deeper than 100, or has a key that no table can have, decode returns nil
-- and the reason.
local bit = require("bit")
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")
local integers = require("tidemill.run.integer")
local json = require("tidemill.run.json")
local marks = require("tidemill.run.marks")

local msgpack = { null = json.null }

local EXACT, DEEPEST = 2 ^ 53, 100
local int64, uint64 = ffi.typeof("int64_t"), ffi.typeof("uint64_t")
local KEYS = { string = true, number = true, boolean = true } -- the types of a map's keys
local null = json.null
local is_map, is_bin, is_ext = {}, {}, {}
is_bin.__tostring = function(bin) return bin.bytes end

--- Marks a table so that it is written as a map, whatever its keys are.
function msgpack.map(table)
  if type(table) ~= "table" then error("tide.msgpack.map takes a table, got " .. arguments.shown(table), 2) end
  return setmetatable(table, is_map)
end

--- Makes an object that is written as bin; tostring() gives its bytes.
function msgpack.bin(bytes)
  arguments.text(bytes, "tide.msgpack.bin")
  return setmetatable({ bytes = bytes }, is_bin)
end

--- Makes an object of an extension type, -128 to 127 (-1 is the timestamp of msgpack).
function msgpack.ext(kind, bytes)
  kind = arguments.integer(kind, "tide.msgpack.ext: a type", -128, 127)
  arguments.text(bytes, "tide.msgpack.ext")
  return setmetatable({ type = kind, bytes = bytes }, is_ext)
end

-- ---- values -> text ----

local word = ffi.new("union { double d; float f; uint64_t u; int64_t i; uint8_t bytes[8]; }")

-- Appends the byte `head` and the lowest `size` bytes of the word, big-endian.
local function put_word(parts, head, size)
  local text = ffi.string(word.bytes, size):reverse()
  parts[#parts + 1] = string.char(head) .. text
end

local function put_natural(parts, natural)
  word.u = natural
  if natural < 0x80ULL then parts[#parts + 1] = string.char(tonumber(natural))
  elseif natural <= 0xFFULL then put_word(parts, 0xCC, 1)
  elseif natural <= 0xFFFFULL then put_word(parts, 0xCD, 2)
  elseif natural <= 0xFFFFFFFFULL then put_word(parts, 0xCE, 4)
  else put_word(parts, 0xCF, 8) end
end

local function put_integer(parts, integer)
  if integer >= 0 then return put_natural(parts, ffi.cast(uint64, integer)) end
  word.i = integer
  if integer >= -32 then parts[#parts + 1] = string.char(256 + tonumber(integer))
  elseif integer >= -0x80 then put_word(parts, 0xD0, 1)
  elseif integer >= -0x8000 then put_word(parts, 0xD1, 2)
  elseif integer >= -0x80000000LL then put_word(parts, 0xD2, 4)
  else put_word(parts, 0xD3, 8) end
end

local function put_number(parts, number)
  if number % 1 == 0 and math.abs(number) <= EXACT and not (number == 0 and 1 / number < 0) then
    put_integer(parts, ffi.cast(int64, number))
  else
    word.d = number
    put_word(parts, 0xCB, 8)
  end
end

-- Appends a length: up to `most` within the byte `small`, else after the head for 1 (if there is one), 2 or 4 bytes.
local function put_length(parts, length, small, most, one, two, four)
  word.u = length
  if length <= most then parts[#parts + 1] = string.char(small + length)
  elseif one and length <= 0xFF then put_word(parts, one, 1)
  elseif length <= 0xFFFF then put_word(parts, two, 2)
  else put_word(parts, four, 4) end
end

local function put_bytes(parts, bytes, ...)
  put_length(parts, #bytes, ...)
  parts[#parts + 1] = bytes
end

-- Raises for the fields of a tide.msgpack.bin or ext, which a script may change.
local function check_bytes(bytes)
  if type(bytes) ~= "string" then error({ "bytes is a string, got " .. arguments.shown(bytes) }, 0) end
end

local function check_ext(ext)
  local kind = ext.type
  if type(kind) ~= "number" or kind % 1 ~= 0 or kind < -128 or kind > 127 then
    error({ "the type of an ext is an integer from -128 to 127, got " .. arguments.shown(kind) }, 0)
  end
  check_bytes(ext.bytes)
end

local FIXED_EXT = { [1] = 0xD4, [2] = 0xD5, [4] = 0xD6, [8] = 0xD7, [16] = 0xD8 }

local function put_ext(parts, ext)
  check_ext(ext)
  local fixed = FIXED_EXT[#ext.bytes]
  if fixed then parts[#parts + 1] = string.char(fixed) else put_length(parts, #ext.bytes, 0, -1, 0xC7, 0xC8, 0xC9) end
  parts[#parts + 1] = string.char(ext.type % 256)
  parts[#parts + 1] = ext.bytes
end

local put -- any value

local function put_other(parts, value)
  if value == null then
    parts[#parts + 1] = "\192"
  elseif ffi.istype(int64, value) then
    put_integer(parts, value)
  elseif ffi.istype(uint64, value) then
    put_natural(parts, value)
  elseif integers.text(value) then
    error({ ("the integer %s has more than 64 bits"):format(integers.text(value)) }, 0)
  else
    error({ ("a %s has no msgpack; null is tide.null, of a view take tide.json.table(view)"):format(type(value)) }, 0)
  end
end

-- The number of keys of a table, and whether they are 1 to n.
local function keys_of(value)
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  for i = 1, count do
    if rawget(value, i) == nil then return count, false end
  end
  return count, true
end

local function put_table(parts, value, depth)
  if depth > DEEPEST then error({ ("tables are nested deeper than %d, or in a cycle"):format(DEEPEST) }, 0) end
  local kind = marks.of(value)
  if kind == marks.STAND_IN then return put_other(parts, value) end
  if kind == marks.NOTHING then error({ ("%s has no msgpack"):format(tostring(value)) }, 0) end
  local count, in_order = keys_of(value)
  if kind == marks.ARRAY and not in_order then error({ "an array has keys other than 1 to n without gaps" }, 0) end
  if kind == marks.ARRAY or (in_order and count > 0 and getmetatable(value) ~= is_map) then
    put_length(parts, count, 0x90, 15, nil, 0xDC, 0xDD)
    for i = 1, count do put(parts, value[i], depth) end
    return
  end
  put_length(parts, count, 0x80, 15, nil, 0xDE, 0xDF)
  for key, item in pairs(value) do
    if not KEYS[type(key)] then
      error({ "a key is a string, a number or a boolean, got " .. arguments.shown(key) }, 0)
    end
    put(parts, key, depth)
    put(parts, item, depth)
  end
end

function put(parts, value, depth)
  value = integers.cdata(value) or value
  local kind, mark = type(value), getmetatable(value)
  if kind == "string" then put_bytes(parts, value, 0xA0, 31, 0xD9, 0xDA, 0xDB)
  elseif kind == "number" then put_number(parts, value)
  elseif kind == "boolean" then parts[#parts + 1] = value and "\195" or "\194"
  elseif mark == is_bin then
    check_bytes(value.bytes)
    put_bytes(parts, value.bytes, 0, -1, 0xC4, 0xC5, 0xC6)
  elseif mark == is_ext then put_ext(parts, value)
  elseif kind == "table" then put_table(parts, value, depth + 1)
  else put_other(parts, value) end
end

-- The text of an error about the text or value, which is raised as a table; other errors are raised again.
local function text_of(problem)
  if type(problem) ~= "table" then error(problem, 0) end
  return problem[1]
end

function msgpack.encode(value)
  local parts = {}
  local ok, problem = pcall(put, parts, value, 0)
  if not ok then error("tide.msgpack.encode: " .. text_of(problem), 2) end
  return table.concat(parts)
end

-- ---- text -> values ----

local function ends_early(text)
  error({ ("the text ends early, at byte %d"):format(#text) }, 0)
end

-- Reads `size` bytes at `at` as a big-endian number. It is calculated and not stored byte by byte into `word`: for
-- compiled code, memory that is written with a variable index never overlaps memory of another type (aa_xref of
-- LuaJIT), so reading the word gave what it was before.
local function read_unsigned(text, at, size)
  if at + size - 1 > #text then ends_early(text) end
  local number = 0ULL
  for i = at, at + size - 1 do number = number * 256 + text:byte(i) end
  return number
end

local function read_length(text, at, size)
  return tonumber(read_unsigned(text, at, size))
end

local function read_natural(text, at, size)
  local natural = read_unsigned(text, at, size)
  return natural <= 0x20000000000000ULL and tonumber(natural) or integers.given(natural)
end

local function read_integer(text, at, size)
  local bits = 64 - 8 * size
  local integer = bit.arshift(bit.lshift(ffi.cast(int64, read_unsigned(text, at, size)), bits), bits)
  if integer <= 0x20000000000000LL and integer >= -0x20000000000000LL then return tonumber(integer) end
  return integers.given(integer)
end

-- A NaN becomes Lua's own (run/number.lua says why).
local function read_float(text, at, size)
  local bits = read_unsigned(text, at, size)
  local exponent = size == 4 and 0x7F800000ULL or 0x7FF0000000000000ULL
  local fraction = size == 4 and 0x7FFFFFULL or 0xFFFFFFFFFFFFFULL
  if bit.band(bits, exponent) == exponent and bit.band(bits, fraction) ~= 0ULL then return 0 / 0 end
  word.u = bits
  return tonumber(size == 4 and word.f or word.d)
end

local function read_bytes(text, at, length)
  if at + length - 1 > #text then ends_early(text) end
  return text:sub(at, at + length - 1), at + length
end

local function read_ext(text, at, length)
  local kind = read_integer(text, at, 1)
  local bytes, behind = read_bytes(text, at + 1, length)
  return msgpack.ext(kind, bytes), behind
end

local get -- reads any value at `at`; returns it, and where the next one begins

-- Each element takes at least a byte, so a count that cannot be true is refused before anything is allocated.
local function check_container(text, at, count, depth)
  if count > #text - at + 1 then ends_early(text) end
  if depth == DEEPEST then error({ ("nested deeper than %d"):format(DEEPEST) }, 0) end
end

local function read_array(text, at, count, depth)
  check_container(text, at, count, depth)
  local array = {}
  for i = 1, count do array[i], at = get(text, at, depth + 1) end
  return marks.to_array(array), at
end

local function read_map(text, at, count, depth)
  check_container(text, at, count, depth)
  local map, numbers = {}, false
  for _ = 1, count do
    local key, item
    local before = at
    key, at = get(text, at, depth + 1)
    if not KEYS[type(key)] or key ~= key then
      error({ ("the key at byte %d is none that a table can be asked for"):format(before - 1) }, 0)
    end
    if rawget(map, key) ~= nil then error({ ("the key at byte %d is there twice"):format(before - 1) }, 0) end
    item, at = get(text, at, depth + 1)
    map[key], numbers = item, numbers or type(key) == "number"
  end
  return numbers and msgpack.map(map) or map, at
end

local heads = {
  [0xC0] = function(_, at) return null, at end,
  [0xC2] = function(_, at) return false, at end,
  [0xC3] = function(_, at) return true, at end,
  [0xCA] = function(text, at) return read_float(text, at, 4), at + 4 end,
  [0xCB] = function(text, at) return read_float(text, at, 8), at + 8 end,
}

-- Adds heads that follow each other: a length of 1 (2, 4) bytes, then what `read` reads after it.
local function add_lengths(first, sizes, read)
  for i, size in ipairs(sizes) do
    heads[first + i - 1] = function(text, at, depth)
      return read(text, at + size, read_length(text, at, size), depth)
    end
  end
end

add_lengths(0xC4, { 1, 2, 4 }, function(text, at, length)
  local bytes, behind = read_bytes(text, at, length)
  return msgpack.bin(bytes), behind
end)
add_lengths(0xC7, { 1, 2, 4 }, read_ext)
add_lengths(0xD9, { 1, 2, 4 }, read_bytes)
add_lengths(0xDC, { 2, 4 }, read_array)
add_lengths(0xDE, { 2, 4 }, read_map)
for i = 0, 3 do
  local size = 2 ^ i
  heads[0xCC + i] = function(text, at) return read_natural(text, at, size), at + size end
  heads[0xD0 + i] = function(text, at) return read_integer(text, at, size), at + size end
end
for length, head in pairs(FIXED_EXT) do
  heads[head] = function(text, at) return read_ext(text, at, length) end
end

function get(text, at, depth)
  local head = text:byte(at)
  if not head then ends_early(text) end
  if head < 0x80 then return head, at + 1 end
  if head >= 0xE0 then return head - 256, at + 1 end
  if head < 0x90 then return read_map(text, at + 1, head - 0x80, depth) end
  if head < 0xA0 then return read_array(text, at + 1, head - 0x90, depth) end
  if head < 0xC0 then return read_bytes(text, at + 1, head - 0xA0) end
  if not heads[head] then error({ ("0x%02x at byte %d is none of its types"):format(head, at - 1) }, 0) end
  return heads[head](text, at + 1, depth)
end

function msgpack.decode(text)
  arguments.text(text, "tide.msgpack.decode")
  local ok, value, behind = pcall(get, text, 1, 0)
  if not ok then return nil, "msgpack: " .. text_of(value) end
  if behind <= #text then return nil, ("msgpack: more bytes behind its end, from byte %d on"):format(behind - 1) end
  return value
end

return msgpack
