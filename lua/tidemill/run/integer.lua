-- SPDX-License-Identifier: MIT
-- run/integer.lua: an integer of JSON with more than 64 bits, which no Lua number can hold. It keeps its digits, so
-- that nothing is rounded silently: tostring, .. and == use the digits, and they are written again when it is assigned
-- or encoded. Arithmetic, which would need a number, raises an error that says what to do. Where no cdata are handed
-- out (run/hardened.lua), all integers beyond 2^53 are such objects, and these are tables.
local ffi = require("ffi")
local marks = require("tidemill.run.marks")

local integer = {}

-- Each load of this file has a type of its own, as in run/message.lua.
local integer_type = ffi.typeof(("struct { int32_t length; char digits[?]; } /* %s */"):format(tostring(integer)))

local hardened = false
local methods = { written_as = marks.STAND_IN }

-- A script may write whatever it wants into its table.
local function digits_in(thing)
  local digits = type(thing) == "table" and getmetatable(thing) == methods and rawget(thing, "digits")
  return type(digits) == "string" and digits:match "^%-?%d+$" or nil
end

local function digits_of(thing)
  if hardened then return digits_in(thing) or error("this integer was changed", 2) end
  return (ffi.string(thing.digits, thing.length))
end

--- Makes one from `length` bytes, which are copied, so that it may be kept.
function integer.new(bytes, length)
  if hardened then return setmetatable({ digits = ffi.string(bytes, length) }, methods) end
  local new = integer_type(length)
  new.length = length
  ffi.copy(new.digits, bytes, length)
  return new
end

--- The digits, after a minus if it is negative; nil for anything else.
function integer.text(thing)
  if hardened then return digits_in(thing) end
  return ffi.istype(integer_type, thing) and digits_of(thing) or nil
end

--- An int64 or uint64 as it is handed to a script.
function integer.given(value)
  if not hardened then return value end
  return setmetatable({ digits = (tostring(value):gsub("U?LL$", "")) }, methods)
end

--- An object as int64 or uint64, for functions that take these; nil when it has more bits, or is no such object.
function integer.cdata(thing)
  local digits = hardened and digits_in(thing)
  if not digits then return nil end
  local sign, value = digits:sub(1, 1) == "-" and -1 or 1, 0ULL
  local most = sign < 0 and "9223372036854775808" or "18446744073709551615"
  local plain = digits:match "^%-?0*(%d*)$"
  if #plain > #most or #plain == #most and plain > most then return nil end
  for i = 1, #plain do value = value * 10 + (plain:byte(i) - 48) end
  if sign < 0 then return -ffi.cast("int64_t", value) end
  return value <= 0x7FFFFFFFFFFFFFFFULL and ffi.cast("int64_t", value) or value
end

--- From now on integers beyond 2^53 are tables, or cdata again.
function integer.harden(on)
  hardened = on
end

local function text_of(thing)
  return integer.text(thing) or tostring(thing)
end

local function number_of(thing)
  return tonumber(integer.text(thing) or thing)
end

local function refused(a, b)
  error(("the integer %s has more than %s, and Lua cannot calculate with it; tonumber(tostring(x)) rounds it")
    :format(integer.text(a) or integer.text(b), hardened and '53 bits (trust = "hardened")' or "64 bits"), 2)
end

-- Rounding keeps the order, except that neighbours become equal: those are compared by their digits.
local function is_less(a, b)
  local one, other = number_of(a), number_of(b)
  if one ~= other or type(a) ~= type(b) then return one < other end
  local x, y = text_of(a):match "%d+", text_of(b):match "%d+" -- tostring of an int64 ends in LL
  if one < 0 then x, y = y, x end
  return #x < #y or #x == #y and x < y
end

methods.__tostring = digits_of
function methods.__concat(a, b) return text_of(a) .. text_of(b) end
function methods.__eq(a, b)
  local one, other = integer.text(a), integer.text(b)
  return one ~= nil and one == other
end
methods.__lt = is_less
function methods.__le(a, b) return not is_less(b, a) end
for _, name in ipairs { "__add", "__sub", "__mul", "__div", "__mod", "__pow", "__unm" } do methods[name] = refused end
ffi.metatype(integer_type, methods)

return integer
