-- SPDX-License-Identifier: MIT
-- lib/varint.lua: integers of seven bits a byte, lowest first, as Avro and Protocol Buffers write them, and the memory
-- that both are written to. Bytes are read from `p` (const uint8_t *), at `at` up to `stop`; a function returns the
-- value and where the next one begins. What cannot be read is raised as a table { text, at = byte }.
local bit = require("bit")
local ffi = require("ffi")
local integers = require("tidemill.run.integer")
local number = require("tidemill.run.number")

local varint = {}

local int64, uint64 = ffi.typeof("int64_t"), ffi.typeof("uint64_t")
local band, bor, bxor, lshift, rshift = bit.band, bit.bor, bit.bxor, bit.lshift, bit.rshift
local EXACT = 2 ^ 53
local SHORT = 7 -- bytes, whose 49 bits a number holds

function varint.fail(at, text)
  error({ text, at = at }, 0)
end

local fail = varint.fail

--- Raises that the bytes end early.
function varint.ends_early(at)
  fail(at, "the bytes end early")
end

local function read_wide(p, at, stop)
  local value, shift = 0ULL, 0
  while true do
    if at >= stop then fail(at, "the bytes end early") end
    local byte = p[at]
    if shift == 63 and byte > 1 then fail(at, "an integer of more than 64 bits") end
    value = bor(value, lshift(ffi.cast(uint64, band(byte, 0x7F)), shift))
    at, shift = at + 1, shift + 7
    if byte < 0x80 then return value, at end
  end
end

--- An unsigned integer: a number when it has up to 7 bytes, else a uint64.
local function read(p, at, stop)
  if at >= stop then fail(at, "the bytes end early") end
  local byte = p[at]
  if byte < 0x80 then return byte, at + 1 end
  local value, scale, from = byte - 0x80, 0x80, at
  local last = at + SHORT < stop and at + SHORT or stop
  at = at + 1
  while at < last do
    byte = p[at]
    at = at + 1
    if byte < 0x80 then return value + byte * scale, at end
    value, scale = value + (byte - 0x80) * scale, scale * 0x80
  end
  return read_wide(p, from, stop)
end
varint.read = read

--- An int64 as it is handed to scripts: a number up to 2^53.
local function given(value)
  if value <= 0x20000000000000LL and value >= -0x20000000000000LL then return tonumber(value) end
  return integers.given(value)
end
varint.given = given

--- A signed integer in zigzag form: a number up to 2^53, else an int64 (run/integer.lua where there are no cdata).
function varint.read_zigzag(p, at, stop)
  local value, behind = read(p, at, stop)
  if type(value) == "number" then
    local low = value % 2
    if low == 0 then return value / 2, behind end
    return -(value + 1) / 2, behind
  end
  local odd = band(value, 1ULL)
  return given(ffi.cast(int64, bxor(rshift(value, 1), -odd))), behind
end

-- ---- writing ----

local memory, room, used = ffi.new("uint8_t[?]", 1024), 1024, 0

local function grow(size)
  while room < used + size do room = room * 2 end
  local larger = ffi.new("uint8_t[?]", room)
  ffi.copy(larger, memory, used)
  memory = larger
end

--- Begins at the start of the memory. There is one, as one value is written at a time.
function varint.begin()
  used = 0
  if room > 2 ^ 20 then memory, room = ffi.new("uint8_t[?]", 1024), 1024 end
end

function varint.mark()
  return used
end

function varint.cut(mark)
  used = mark
end

--- What was written since the beginning, or since a mark.
function varint.text(mark)
  mark = mark or 0
  return ffi.string(memory + mark, used - mark)
end

local function put_byte(byte)
  if used + 1 > room then grow(1) end
  memory[used] = byte
  used = used + 1
end
varint.put_byte = put_byte

function varint.put_bytes(bytes)
  local size = #bytes
  if used + size > room then grow(size) end
  ffi.copy(memory + used, bytes, size)
  used = used + size
end

--- An unsigned integer: a number up to 2^53, or a uint64.
local function put(value)
  while value >= 0x80 do
    local low = tonumber(value % 0x80)
    put_byte(low + 0x80)
    value = (value - low) / 0x80
  end
  put_byte(tonumber(value))
end
varint.put = put

--- A signed integer in zigzag form: a number without a fraction below 2^52, or an int64.
function varint.put_zigzag(value)
  if type(value) == "number" then
    return put(value >= 0 and value * 2 or -value * 2 - 1)
  end
  put(bxor(ffi.cast(uint64, lshift(value, 1)), ffi.cast(uint64, bit.arshift(value, 63))))
end

local double, float, word32, word64 = ffi.typeof("double *"), ffi.typeof("float *"), ffi.typeof("uint32_t *"),
  ffi.typeof("uint64_t *")

--- Numbers of fixed size, little-endian, as all machines are that the program runs on.
function varint.put_double(value)
  if used + 8 > room then grow(8) end
  ffi.cast(double, memory + used)[0] = value
  used = used + 8
end

function varint.put_float(value)
  if used + 4 > room then grow(4) end
  ffi.cast(float, memory + used)[0] = value
  used = used + 4
end

function varint.put_word32(value)
  if used + 4 > room then grow(4) end
  ffi.cast(word32, memory + used)[0] = value
  used = used + 4
end

function varint.put_word64(value)
  if used + 8 > room then grow(8) end
  ffi.cast(word64, memory + used)[0] = value
  used = used + 8
end

function varint.read_double(p, at, stop)
  if at + 8 > stop then fail(at, "the bytes end early") end
  return number.double_at(p + at), at + 8
end

function varint.read_float(p, at, stop)
  if at + 4 > stop then fail(at, "the bytes end early") end
  return number.float_at(p + at), at + 4
end

--- An integer that a script gave, within two bounds (int64 or uint64): a number up to 2^52, else an int64 or uint64.
--- nil for what is none, or is beyond.
function varint.integer(value, least, most)
  if type(value) == "number" then
    if value % 1 ~= 0 or value > EXACT or value < -EXACT then return nil end
    if value < tonumber(least) or value > tonumber(most) then return nil end
    if value < 2 ^ 52 and value > -2 ^ 52 then return value end
    return ffi.cast(int64, value)
  end
  value = integers.cdata(value) or value
  if ffi.istype(int64, value) then
    if value < 0 and least == 0 then return nil end
    if value >= 0 and ffi.cast(uint64, value) > ffi.cast(uint64, most) then return nil end
    if value < 0 and value < ffi.cast(int64, least) then return nil end
    return value
  elseif ffi.istype(uint64, value) then
    if value > ffi.cast(uint64, most) then return nil end
    return value
  end
  return nil
end

return varint
