-- SPDX-License-Identifier: MIT
-- run/integer.lua: an integer of JSON with more than 64 bits, which no Lua number can hold. It keeps its digits, so
-- that nothing is rounded silently: tostring, .. and == use the digits, and they are written again when it is assigned
-- or encoded. Arithmetic, which would need a number, raises an error that says what to do.
local ffi = require("ffi")

local integer = {}

-- Each load of this file has a type of its own, as in run/message.lua.
local integer_type = ffi.typeof(("struct { int32_t length; char digits[?]; } /* %s */"):format(tostring(integer)))

local function digits_of(thing)
  return (ffi.string(thing.digits, thing.length))
end

--- Makes one from `length` bytes, which are copied, so that it may be kept.
function integer.new(bytes, length)
  local new = integer_type(length)
  new.length = length
  ffi.copy(new.digits, bytes, length)
  return new
end

--- The digits, after a minus if it is negative; nil for anything else.
function integer.text(thing)
  return ffi.istype(integer_type, thing) and digits_of(thing) or nil
end

local function text_of(thing)
  return integer.text(thing) or tostring(thing)
end

local function number_of(thing)
  return tonumber(integer.text(thing) or thing)
end

local function refused(a, b)
  error(("the integer %s has more than 64 bits, and Lua cannot calculate with it; tonumber(tostring(x)) rounds it")
    :format(integer.text(a) or integer.text(b)), 2)
end

-- Rounding keeps the order, except that neighbours become equal: those are compared by their digits.
local function is_less(a, b)
  local one, other = number_of(a), number_of(b)
  if one ~= other or type(a) ~= type(b) then return one < other end
  local x, y = text_of(a):match "%d+", text_of(b):match "%d+" -- tostring of an int64 ends in LL
  if one < 0 then x, y = y, x end
  return #x < #y or #x == #y and x < y
end

local methods = {
  __tostring = digits_of,
  __concat = function(a, b) return text_of(a) .. text_of(b) end,
  __eq = function(a, b)
    local one, other = integer.text(a), integer.text(b)
    return one ~= nil and one == other
  end,
  __lt = is_less,
  __le = function(a, b) return not is_less(b, a) end,
}
for _, name in ipairs { "__add", "__sub", "__mul", "__div", "__mod", "__pow", "__unm" } do methods[name] = refused end
ffi.metatype(integer_type, methods)

return integer
