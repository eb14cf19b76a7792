-- SPDX-License-Identifier: MIT
-- run/number.lua: writes numbers as text with all their digits. Lua's tostring() and .. round a number to 14 digits,
-- and LuaJIT writes int64 and uint64 with the suffix LL and does not join them to a text: an identifier that was
-- written so would match no other.
local bit = require("bit")
local ffi = require("ffi")
local C = require("tidemill.run.ffi").C
local integer = require("tidemill.run.integer")

local number = {}

local to_string, istype = ffi.string, ffi.istype
local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local room = ffi.new("char[?]", C.TIDE_JSON_NUMBER)

--- The shortest text that reads back as the same number; for int64, uint64 and larger integers all digits. nil for NaN,
--- infinity and what is no number.
function number.text(value)
  local length
  if type(value) == "number" then
    if value - value ~= 0 then return nil end
    length = C.tide_json_write_double(value, room)
  elseif istype(int64, value) then
    length = C.tide_json_write_integer(value, room)
  elseif istype(uint64, value) then
    length = C.tide_json_write_natural(value, room)
  else
    return (integer.text(value))
  end
  return (to_string(room, length))
end

local text_of = number.text

local words_type, double_type = ffi.typeof "const uint32_t *", ffi.typeof "const double *"
local float_type = ffi.typeof "const float *"
local NAN = 0 / 0

--- Reads a double from bytes that somebody else wrote. LuaJIT tells values of other types from numbers by the bits of a
--- NaN, and takes what it reads as it is: so each NaN becomes Lua's own here.
function number.double_at(bytes)
  local words = ffi.cast(words_type, bytes)
  if bit.band(words[1], 0x7FF00000) == 0x7FF00000 and (bit.band(words[1], 0xFFFFF) ~= 0 or words[0] ~= 0) then
    return NAN
  end
  return ffi.cast(double_type, bytes)[0]
end

--- The same for a float.
function number.float_at(bytes)
  local word = ffi.cast(words_type, bytes)[0]
  if bit.band(word, 0x7F800000) == 0x7F800000 and bit.band(word, 0x7FFFFF) ~= 0 then return NAN end
  return tonumber(ffi.cast(float_type, bytes)[0])
end

--- tide.json.text for scripts: a number with all its digits; strings, true and false as they are.
function number.scalar(scalar)
  local text = type(scalar) == "string" and scalar or text_of(scalar)
  if text then return text end
  if type(scalar) == "boolean" then return scalar and "true" or "false" end
  local kind = type(scalar) == "number" and tostring(scalar) or "a " .. type(scalar)
  error(("tide.json.text takes a number, a string or a boolean, got %s"):format(kind), 2)
end

--- Makes tostring() and .. write int64 and uint64 by their digits, in the processes that run functions of the user. All
--- cdata share one metatable, which LuaJIT takes to be constant, so this is called before anything is compiled.
function number.install()
  local metatable = debug.getmetatable(0LL)
  local shown, joined = metatable.__tostring, metatable.__concat
  function metatable.__tostring(value)
    return text_of(value) or shown(value)
  end
  function metatable.__concat(a, b)
    local left, right = type(a) == "cdata" and text_of(a) or a, type(b) == "cdata" and text_of(b) or b
    if type(left) == "cdata" or type(right) == "cdata" then return joined(a, b) end
    return left .. right
  end
end

return number
