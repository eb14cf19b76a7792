-- SPDX-License-Identifier: MIT
-- lib/arguments.lua: checks the arguments of the library's functions. Errors name the line of the script: they are
-- raised by the number of frames, so a check must be called by the function that the script calls, and not as a tail
-- call.
local ffi = require("ffi")
local integer = require("tidemill.run.integer")

local arguments = {}

local int64, uint64 = ffi.typeof("int64_t"), ffi.typeof("uint64_t")
local EXACT = 2 ^ 53 -- integers up to here are exact as numbers

local function is_integer_cdata(value)
  return ffi.istype(int64, value) or ffi.istype(uint64, value)
end

--- A wrong value as it is shown in an error.
function arguments.shown(value)
  value = integer.cdata(value) or value
  if type(value) == "number" then return ("%.17g"):format(value) end
  if is_integer_cdata(value) then return (tostring(value):gsub("U?LL$", "")) end
  if type(value) == "string" and #value <= 40 then return ("%q"):format(value) end
  return type(value) == "nil" and "nil" or "a " .. type(value)
end

--- Raises in the line of the caller's caller unless `value` is a string.
function arguments.text(value, what)
  if type(value) ~= "string" then error(("%s takes a string, got %s"):format(what, arguments.shown(value)), 3) end
end

--- Raises unless `value` is a string or nil.
function arguments.text_or_nil(value, what)
  if value ~= nil and type(value) ~= "string" then
    error(("%s takes a string or nothing, got %s"):format(what, arguments.shown(value)), 3)
  end
end

--- Takes an integer between two numbers, also as int64 or uint64; returns it as a number.
function arguments.integer(value, what, least, most)
  value = integer.cdata(value) or value
  local number = is_integer_cdata(value) and tonumber(value) or value
  if type(number) ~= "number" or number % 1 ~= 0 or number < least or number > most then
    error(("%s takes an integer from %.0f to %.0f, got %s"):format(what, least, most, arguments.shown(value)), 3)
  end
  return number
end

--- Takes an unsigned integer and returns it as uint64: an exact number, or the bits of an int64 or uint64.
function arguments.bits(value, what)
  value = integer.cdata(value) or value
  if is_integer_cdata(value) then return ffi.cast(uint64, value) end
  if type(value) ~= "number" or value % 1 ~= 0 or value < 0 or value > EXACT then
    error(("%s takes an integer from 0 to 2^53, an int64 or a uint64, got %s"):format(what,
      arguments.shown(value)), 3)
  end
  return ffi.cast(uint64, value)
end

--- Takes the largest size of a result in bytes, which may be infinity; nil is `default`.
function arguments.most(value, what, default)
  if value == nil then return default end
  value = integer.cdata(value) or value
  local number = is_integer_cdata(value) and tonumber(value) or value
  if type(number) ~= "number" or number ~= number or number < 0 then
    error(("%s takes a number of bytes, got %s"):format(what, arguments.shown(value)), 3)
  end
  return number
end

--- Raises unless `value` is nil or a key of the table `choices`.
function arguments.choice(value, what, choices)
  if value == nil or choices[value] then return end
  local names = {}
  for name in pairs(choices) do names[#names + 1] = '"' .. name .. '"' end
  table.sort(names)
  error(("%s takes %s, got %s"):format(what, table.concat(names, " or "), arguments.shown(value)), 3)
end

--- Raises unless `options` is a table with keys of `known` alone; `level` as in error(), seen from the caller.
function arguments.options(options, what, known, level)
  if type(options) ~= "table" then
    error(("%s takes a table of options, got %s"):format(what, arguments.shown(options)), level)
  end
  for name in pairs(options) do
    if not known[name] then
      local names = {}
      for one in pairs(known) do names[#names + 1] = one end
      table.sort(names)
      error(("%s: no option %s; there are %s"):format(what, arguments.shown(name), table.concat(names, ", ")), level)
    end
  end
end

return arguments
